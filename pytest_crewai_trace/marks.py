"""What a test is asked to do, by its markers and fixtures."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, cast

import pytest

from pytest_crewai_trace.settings import BUDGET, WHICH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_crewai_trace.settings import Settings, Which

FIXTURES = frozenset({"crewai_trace"})
SCRIPT, FAULTS = "crewai_llm", "crewai_faults"
NETWORK = "crewai_network"
CASSETTE = "crewai_cassette"
ORDERS = ("by_request", "in_order")
MARKER = "crewai_trace"
MARKER_ARGUMENTS = ("enabled", "keep")


class CassetteMark:
    """What the marker ``crewai_cassette`` says.

    ``path``: the file, in the folder of cassettes. ``mode``: replies are found by the request, or by their position.
    ``volatile``: regular expressions of what differs from run to run. ``allow_unused``: replies may be left over.
    """

    def __init__(
        self,
        path: str | None = None,
        mode: str = "by_request",
        volatile: tuple[str, ...] = (),
        allow_unused: bool = False,
    ) -> None:
        self.path = path
        self.mode = mode
        self.volatile = volatile
        self.allow_unused = allow_unused


def is_traced(item: pytest.Item, settings: Settings) -> bool:
    """Whether a test is to be traced.

    Raises:
        pytest.UsageError: a mistake in its marker, or a marker that forbids what its fixture needs.
    """
    asks = not FIXTURES.isdisjoint(getattr(item, "fixturenames", ())) or item.get_closest_marker(BUDGET) is not None
    asks = asks or has_cassette(item)
    enabled = _marker_enabled(item)
    if asks and enabled is False:
        raise forbidden(item)
    return (asks or replays(item) or settings.enabled) if enabled is None else enabled


def replays(item: pytest.Item) -> bool:
    """Whether a test asks for a script or for faults."""
    return not {SCRIPT, FAULTS}.isdisjoint(getattr(item, "fixturenames", ()))


def is_scripted(collector: pytest.Collector) -> bool:
    """Whether a test module, or a conftest.py above it, speaks of a script."""
    if not isinstance(collector, pytest.Module):
        return False
    folders = (folder for folder in collector.path.parents if folder.is_relative_to(collector.config.rootpath))
    return any(map(_speaks_of_script, (collector.path, *(folder / "conftest.py" for folder in folders))))


@cache
def _speaks_of_script(path: Path) -> bool:
    try:
        return SCRIPT.encode() in path.read_bytes()
    except OSError:
        return False


def network_allowed(item: pytest.Item, settings: Settings) -> tuple[str, ...] | None:
    """The hosts that a test without network may still reach; None if it has the network.

    Raises:
        pytest.UsageError: a mistake in its marker.
    """
    marker = item.get_closest_marker(NETWORK)
    if marker is None:
        return () if settings.block_network else None
    valid = "valid: block=True|False, allow=['host', ...]"
    where = keywords_only(item, marker, valid)
    _check_names(where, marker, ("block", "allow"), valid)
    block: object = marker.kwargs.get("block", True)
    allow: object = marker.kwargs.get("allow", ())
    if not isinstance(block, bool):
        raise pytest.UsageError(f"{where}: block={block!r}; {valid}")
    if not isinstance(allow, list | tuple) or not all(isinstance(host, str) for host in allow):
        raise pytest.UsageError(f"{where}: allow={allow!r}; {valid}")
    return tuple(allow) if block else None


def forbidden(item: pytest.Item) -> pytest.UsageError:
    """The error of a test that asks for what its marker forbids."""
    what = f"the fixture {CASSETTE if has_cassette(item) else 'crewai_trace'}"
    if item.get_closest_marker(BUDGET) is not None:
        what = f"a budget (marker {BUDGET})"
    return pytest.UsageError(
        f"{item.nodeid}: asks for {what}, but its marker crewai_trace(enabled=False) forbids it; drop one of the two"
    )


def keep_of(item: pytest.Item, settings: Settings) -> Which:
    """Whose trace stays: what the nearest marker says that says it, else the session's setting."""
    for marker in item.iter_markers(MARKER):
        if "keep" in marker.kwargs:
            return cast("Which", marker.kwargs["keep"])
    return settings.keep


def keywords_only(item: pytest.Item, marker: pytest.Mark, valid: str) -> str:
    """How messages name a marker of a test.

    Raises:
        pytest.UsageError: it has arguments without a name.
    """
    where = f"{item.nodeid}: marker {marker.name}"
    if marker.args:
        raise pytest.UsageError(f"{where} takes keyword arguments only, not {marker.args[0]!r}; {valid}")
    return where


def _check_names(where: str, marker: pytest.Mark, names: Iterable[str], valid: str) -> None:
    for name in marker.kwargs:
        if name not in names:
            raise pytest.UsageError(f"{where} has no argument {name!r}; {valid}")


def _marker_enabled(item: pytest.Item) -> bool | None:
    enabled: bool | None = None
    for marker in reversed(list(item.iter_markers(MARKER))):  # the nearest last
        enabled = _checked(marker, item)
    return enabled


def _checked(marker: pytest.Mark, item: pytest.Item) -> bool:
    """Whether a marker turns tracing on."""
    valid = f"valid: enabled=True|False, keep={'|'.join(map(repr, WHICH))}"
    where = keywords_only(item, marker, valid)
    _check_names(where, marker, MARKER_ARGUMENTS, valid)
    enabled: object = marker.kwargs.get("enabled", True)
    if not isinstance(enabled, bool):
        raise pytest.UsageError(f"{where}: enabled={enabled!r}; {valid}")
    if "keep" in marker.kwargs and marker.kwargs["keep"] not in WHICH:
        raise pytest.UsageError(f"{where}: keep={marker.kwargs['keep']!r}; {valid}")
    return enabled


def has_cassette(item: pytest.Item) -> bool:
    """Whether a test has a cassette, by its marker or its fixture."""
    return CASSETTE in getattr(item, "fixturenames", ()) or item.get_closest_marker(CASSETTE) is not None


def use_cassette(collector: pytest.Collector, function: object) -> None:
    """Give a marked test the fixture, before pytest looks which fixtures it needs and in which order."""
    if not isinstance(function, FunctionType):
        return
    own = vars(function).get("pytestmark", ())
    if any(mark.name == CASSETTE for mark in (*own, *collector.iter_markers(CASSETTE))):
        pytest.mark.usefixtures(CASSETTE)(function)


def cassette_mark(item: pytest.Item) -> CassetteMark:
    """What a test's marker says of its cassette.

    Raises:
        pytest.UsageError: a mistake in it.
    """
    marker = item.get_closest_marker(CASSETTE)
    if marker is None:
        return CassetteMark()
    where = f"{item.nodeid}: marker {CASSETTE}"
    if item.get_closest_marker("vcr") is not None:
        raise pytest.UsageError(
            f"{where}: the test has the marker vcr too, and can have one cassette; drop one of them"
        )
    valid = "valid: a path, mode=by_request|in_order, volatile=[regular expressions], allow_unused=True|False"
    arguments = {**dict(zip(("path",), marker.args, strict=False)), **marker.kwargs}
    if len(marker.args) > 1:
        raise pytest.UsageError(f"{where} takes one path, not {len(marker.args)} arguments; {valid}")
    _check_names(where, marker, ("path", "mode", "volatile", "allow_unused"), valid)
    volatile = arguments.get("volatile", ())
    patterns = volatile if isinstance(volatile, list | tuple) else ()
    for name, is_valid in (
        ("path", isinstance(arguments.get("path", "x"), str) and arguments.get("path") != ""),
        ("mode", arguments.get("mode", ORDERS[0]) in ORDERS),
        ("volatile", isinstance(volatile, list | tuple) and all(map(_is_pattern, patterns))),
        ("allow_unused", isinstance(arguments.get("allow_unused", False), bool)),
    ):
        if not is_valid:
            raise pytest.UsageError(f"{where}: {name}={arguments[name]!r}; {valid}")
    return CassetteMark(**{**arguments, "volatile": tuple(patterns)})


def _is_pattern(value: object) -> bool:
    try:
        return isinstance(value, str) and re.compile(value).search("") is None
    except re.error:
        return False
