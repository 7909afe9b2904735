"""syrupy's ``snapshot``, which compares a trace in our format and everything else as before."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from pytest_crewai_trace.errors import answer_of
from pytest_crewai_trace.redaction import redactor_of
from pytest_crewai_trace.snapshot.extension import Compared, TraceSnapshotExtension
from pytest_crewai_trace.snapshot.facts import Custom
from pytest_crewai_trace.snapshot.messages import explain
from pytest_crewai_trace.snapshot.options import Options

TRACES: pytest.StashKey[int] = pytest.StashKey()  # the place of the last unnamed one of a test
_OURS = ("level", "variants", "fold", "ignore", "replace")
_SYRUPYS = ("name", "diff", "diff_data", "exclude", "include", "matcher", "extension_class")


class TraceSnapshotAssertion(SnapshotAssertion):
    """What the fixtures ``snapshot`` and ``crewai_snapshot`` give.

    A trace, or a span, is compared in our format, unless it is compared with an extension that is neither syrupy's nor
    ours, or that was asked for in this call. Options given in a call hold for one comparison, as syrupy's do.
    """

    _defaults: Mapping[str, Any] = MappingProxyType({})
    _asked: Mapping[str, Any] = MappingProxyType({})
    _syrupys: Mapping[str, Any] = MappingProxyType({})
    _is_discovered = False
    _place: int | None = None
    compares_trace = False

    def __call__(self, **options: Any) -> TraceSnapshotAssertion:
        """Options for the next comparison: syrupy's (``name``, ``matcher``, ...) and ours.

        ``level``: ``"path"``, ``"calls"`` (default), ``"content"`` or ``"full"``. ``variants``: how many are accepted.
        ``fold``: the number of characters from which texts are folded, ``None`` for never. ``ignore``: paths to leave
        out. ``replace``: a text, or a function of the value, for each path.

        Raises:
            TypeError, ValueError: an option or value that does not exist, with the valid ones.
        """
        ours = {name: options.pop(name) for name in _OURS if name in options}
        _check(options, _SYRUPYS)
        Options.of(**{**self._defaults, **ours})
        self._asked, self._syrupys = ours, options
        super().__call__(**{name: value for name, value in options.items() if value is not None})
        return self

    def with_defaults(self, **options: Any) -> TraceSnapshotAssertion:
        """A new one, with these options for all its comparisons."""
        ours = {**self._defaults, **{name: options.pop(name) for name in _OURS if name in options}}
        _check(options, _SYRUPYS[3:])
        Options.of(**ours)
        made: TraceSnapshotAssertion = super().with_defaults(**options)  # type: ignore[assignment]  # of our class
        made._defaults = ours
        return made

    def __eq__(self, other: object) -> bool:
        asked, self._asked = self._asked, {}
        syrupys, self._syrupys = self._syrupys, {}
        self.compares_trace = False
        if not _is_trace(other):
            if isinstance(self.extension, TraceSnapshotExtension):
                raise TypeError(f"crewai_snapshot compares traces and spans, not {type(other).__name__}; use snapshot")
            if asked:
                raise TypeError(f"{', '.join(asked)}: for traces and spans only, not for {type(other).__name__}")
            return super().__eq__(other)
        if not syrupys.get("extension_class") and type(self.extension).__module__.split(".")[0] == "syrupy":
            if not self._is_discovered:
                self._is_discovered = True
                self.use_extension(TraceSnapshotExtension)  # so that syrupy looks for unused files of ours
            super().__call__(extension_class=TraceSnapshotExtension)
        if isinstance(self.extension, TraceSnapshotExtension):
            self.compares_trace = True
            self._place = None
            return super().__eq__(self._compared(other, Options.of(**{**self._defaults, **asked}), syrupys))
        return super().__eq__(other)

    @property
    def index(self) -> int | str:
        """As syrupy's, but traces are counted through the test: ``snapshot`` and ``crewai_snapshot`` share a folder."""
        index = super().index
        if not self.compares_trace or isinstance(index, str):
            return index
        if self._place is None:
            stash = self.test_location.item.stash
            self._place = stash[TRACES] = stash.get(TRACES, -1) + 1
        return self._place

    __hash__ = None  # type: ignore[assignment]  # as syrupy's

    def _compared(self, trace: Any, options: Options, syrupys: Mapping[str, Any]) -> Compared:
        if syrupys.get("include") or self.include:
            raise TypeError("include=: not for traces; ignore= leaves out what is not to be compared")
        item = self.test_location.item
        origin = getattr(trace, "origin", None)
        caller = item.ihook.pytest_crewai_trace_normalize
        return Compared(
            trace,
            options,
            redactor_of(item.config, item.ihook),
            Custom(
                tuple(re.compile(pattern) for pattern in item.config.getini("crewai_trace_normalize")),
                _normalise(caller) if caller.get_hookimpls() else None,
                matcher=syrupys.get("matcher") or self.matcher,
                exclude=syrupys.get("exclude") or self.exclude,
            ),
            getattr(origin, "crewai_version", None),
        )

    def get_assert_diff(self, **options: Any) -> list[str]:
        if not self.compares_trace:
            return super().get_assert_diff(**options)
        result = self.executions[self.num_executions - 1]
        mode = options.get("diff_mode")
        is_short = getattr(mode, "value", mode) == "disabled"
        return explain(result, self.test_location.item, is_short=is_short)


def _check(options: dict[str, Any], known: tuple[str, ...]) -> None:
    from pytest_crewai_trace.errors import unknown_choice

    for name in options:
        if name not in known:
            raise TypeError(unknown_choice("option", name, (*_OURS, *known)))


def _is_trace(value: object) -> bool:
    """Whether it is a trace or a span, without importing what those need."""
    span, trace = (sys.modules.get(f"pytest_crewai_trace.trace.{name}") for name in ("span", "trace"))
    classes = [getattr(span, "Span", None), getattr(trace, "Trace", None)]
    return isinstance(value, tuple(cls for cls in classes if cls is not None))


def _normalise(caller: Any) -> Any:
    def normalise(value: Any, path: str) -> Any:
        for implementation in caller.get_hookimpls()[::-1]:
            given = {"value": value, "path": path}
            changed = answer_of("pytest_crewai_trace_normalize", implementation, given, lambda changed: changed)
            value = value if changed is None else changed
        return value

    return normalise
