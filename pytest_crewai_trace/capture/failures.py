"""What a failure says, with the exception's class and traceback: crewAI's events hold its text only."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from pytest_crewai_trace.capture.plain import message_of, plain

if TYPE_CHECKING:
    from pytest_crewai_trace.capture.mapping import Rule

_MOST_TRACEBACK = 20_000  # characters, from the end
_MOST_FRAMES = 30
_NEAR = 5  # frames from what emits up to crewAI's handler of the exception; it was 3 at most on every supported version
_HERE = str(Path(__file__).parent)


def failure(fields: dict[str, Any]) -> dict[str, Any]:
    """The error of an event that is being emitted: ``message`` and, where the exception can be found, its ``type``."""
    said = fields.get("error")
    # isinstance() would ask the value for its __class__
    raised = cast("BaseException", said) if issubclass(type(said), BaseException) else None
    message = plain(said) if raised is None else message_of(raised)
    found: dict[str, Any] = {"message": message if isinstance(message, str) else str(message or "")}
    if raised is None:
        raised = _handled(found["message"])
    if raised is None:
        raised = _at_hand(found["message"])
    if raised is not None:
        found["type"] = type(raised).__name__
        if raised.__traceback__ is not None:
            lines = traceback.format_exception(type(raised), raised, raised.__traceback__, limit=-_MOST_FRAMES)
            found["traceback"] = plain("".join(lines)[-_MOST_TRACEBACK:])
    return found


def interruption(rule: Rule) -> dict[str, Any] | None:
    """A tool's end that crewAI reports, as a success, while an interrupt or exit flies past it is none."""
    raised = sys.exc_info()[1] if rule.kind == "tool" else None
    if raised is None or isinstance(raised, Exception):
        return None
    return {"type": type(raised).__name__, "message": message_of(raised)}


def _handled(message: str) -> BaseException | None:
    """The exception that is being handled, if what emits now, or a close caller of it, caught it.

    Else it is an earlier failure: crewAI retries from inside the handler of the last one.
    """
    raised = sys.exc_info()[1]
    if raised is None or raised.__traceback__ is None or message_of(raised) not in message:
        return None
    frame = _emitter()
    for _ in range(_NEAR):
        if frame is None:
            return None
        if frame is raised.__traceback__.tb_frame:
            return raised
        frame = frame.f_back
    return None


def _at_hand(message: str) -> BaseException | None:
    """The exception that the emitter has in a variable: a background save looks for it when all is over."""
    frame = _emitter()
    for value in () if frame is None else list(frame.f_locals.values()):
        if isinstance(value, BaseException) and message_of(value) == message:
            return value
    return None


def _emitter() -> FrameType | None:
    """The frame that called the bus: the first that is not ours."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the only way to know who is calling
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return frame
