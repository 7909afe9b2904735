"""The trace of the running test, always as it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.errors import hide_from_traceback

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.trace import Trace


__tracebackhide__ = hide_from_traceback


class LiveTrace:
    """Answers as the ``Trace`` of what has happened so far, and says that it is one (``isinstance``)."""

    __slots__ = ("_now",)
    _now: Callable[[], Trace]

    def __init__(self, now: Callable[[], Trace]) -> None:
        object.__setattr__(self, "_now", now)

    __class__ = property(lambda self: type(self._now()))  # what isinstance() asks for

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now(), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._now(), name, value)  # raises: a trace is frozen

    def __delattr__(self, name: str) -> None:
        delattr(self._now(), name)  # raises too

    def __copy__(self) -> Trace:
        return self._now()  # which is frozen

    def __deepcopy__(self, memo: object) -> Trace:
        return self._now()

    def __reduce__(self) -> tuple[Any, ...]:
        now = self._now()
        return type(now).from_json, (now.to_json(),)

    def __dir__(self) -> list[str]:
        return dir(self._now())

    def __eq__(self, other: object) -> bool:
        return bool(self._now() == (other._now() if type(other) is LiveTrace else other))

    __hash__ = None  # type: ignore[assignment]  # a trace has none

    def __repr__(self) -> str:
        return repr(self._now())

    def __str__(self) -> str:
        return str(self._now())
