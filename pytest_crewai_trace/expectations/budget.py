"""Limits that a test states without code: the marker ``crewai_budget`` and, for all traced tests, ini."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_crewai_trace.errors import TraceAssertionError
from pytest_crewai_trace.expectations.limits import NAMES, Limits, parsed
from pytest_crewai_trace.expectations.message import hide
from pytest_crewai_trace.marks import keywords_only

if TYPE_CHECKING:
    from pytest_crewai_trace.session import Record
    from pytest_crewai_trace.trace.trace import Trace

__tracebackhide__ = hide

MARKER = "crewai_budget"
INI = "crewai_budget"
_PLUGIN = "crewai_trace_budget"


def of_ini(lines: Iterable[str]) -> Limits:
    """The limits of ini, a line each: ``total_tokens = 5000``.

    Raises:
        pytest.UsageError: a line that is no limit.
    """
    given: dict[str, Any] = {}
    for line in lines:
        name, equals, text = line.partition("=")
        if not equals:
            raise pytest.UsageError(f"ini {INI}: {line!r} is no limit; write name = number, a line each")
        name = name.strip()
        if name in given:
            raise pytest.UsageError(f"ini {INI}: {name} is there twice")
        try:
            given[name] = parsed(name, text)
        except (TypeError, ValueError) as error:
            raise pytest.UsageError(f"ini {INI}: {error}") from None
    return Limits(**given)


def of_markers(item: pytest.Item) -> dict[str, Any]:
    """The limits of a test's markers. The nearest marker that names a limit decides it; ``None`` lifts it.

    Raises:
        pytest.UsageError: a mistake in a marker.
    """
    given: dict[str, Any] = {}
    for marker in item.iter_markers(MARKER):  # the test's own first, then its class's, then its module's
        valid = f"valid: {', '.join(f'{name}=' for name in NAMES)}"
        where = keywords_only(item, marker, valid)
        if not marker.kwargs:
            raise pytest.UsageError(f"{where} takes at least one limit; {valid}")
        try:
            checked = Limits.of(marker.kwargs)
        except (TypeError, ValueError) as error:
            raise pytest.UsageError(f"{where}: {error}") from None
        for name in marker.kwargs:
            given.setdefault(name, getattr(checked, name))
    return given


def over(error: TraceAssertionError) -> BaseException:
    """A failure without a traceback: there is no line of the test that it could end in."""
    said = error.actual.partition("\n")[0]
    failed = pytest.fail.Exception(f"the test passed, but not its budget: {said}\n{error}", pytrace=False)
    failed.shows_tree = True  # type: ignore[attr-defined]  # so the report of the test need not
    return failed


class Budgets:
    """The plugin object that checks budgets; registered when a test or ini has one."""

    def __init__(self, defaults: Limits) -> None:
        self.defaults = defaults

    # Outermost, so that the session has waited for what the test started.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        outcome = yield
        from pytest_crewai_trace.session import RECORD

        record = item.stash.get(RECORD, None)
        if record is not None:
            self.check(item, record)
        return outcome

    def check(self, item: pytest.Item, record: Record) -> None:
        """Fail a test that broke its budget, or of which it cannot be told.

        Raises:
            pytest.fail.Exception: the limits that were broken, and the spans that used most.
        """
        stated = of_markers(item)
        if not stated and record.is_blank:
            return
        trace = record.trace()
        defaults = {} if trace.empty else _that_apply(self.defaults, trace)
        limits = Limits(**{**defaults, **stated})
        if limits.given:
            from pytest_crewai_trace.expectations.fluent import expect

            try:
                expect(trace).to_stay_within(**limits.given)
            except TraceAssertionError as error:
                raise over(error) from None


def _that_apply(defaults: Limits, trace: Trace) -> dict[str, Any]:
    """The limits of ini are for every traced test: those on tokens only where a model was called."""
    given = defaults.given
    if trace.complete and not trace.llm_calls:
        return {name: value for name, value in given.items() if name not in (*_TOKENS, "cost")}
    return given


_TOKENS = tuple(name for name in NAMES if name.endswith("_tokens"))


def register(config: pytest.Config, items: Iterable[pytest.Item], defaults: Limits) -> None:
    """Check the markers of all tests, and watch over budgets if there are any.

    Raises:
        pytest.UsageError: a mistake in a marker.
    """
    marked = [item for item in items if of_markers(item)]
    if (marked or defaults.given) and not config.pluginmanager.has_plugin(_PLUGIN):
        config.pluginmanager.register(Budgets(defaults), _PLUGIN)
