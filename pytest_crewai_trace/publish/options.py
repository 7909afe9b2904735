"""The settings of publishing. Every pytest run imports this, so it imports next to nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, cast, get_args

import pytest

OPTION = "--crewai-trace-publish"
NAME = "crewai_trace_publish"
Content = Literal["full", "redacted", "none"]
CONTENTS: tuple[Content, ...] = get_args(Content)
_WHICH = ("failed", "all", "none")
_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_SECONDS, _LONGEST = 30.0, 3_600.0

# What was said under a name on the command line, in the environment or in ini, and where; None where nothing was.
Said = Callable[[str], "tuple[str, str] | None"]


class Publishing:
    """``which``: whose traces go to CrewAI AMP. ``content``: how much of what was said in them.

    ``strict``: a run that passes, and of which something could not be sent, ends with exit code 1. ``anonymous``:
    without a credential. ``seconds``: the most that sending may take.
    """

    def __init__(
        self, which: Literal["failed", "all"], content: Content, strict: bool, anonymous: bool, seconds: float
    ) -> None:
        self.which = which
        self.content = content
        self.strict = strict
        self.anonymous = anonymous
        self.seconds = seconds


def add_options(group: Any, parser: pytest.Parser) -> None:
    group.addoption(
        OPTION,
        choices=_WHICH,
        default=None,
        help="send traces to CrewAI AMP when the session ends: those of failed tests, or all; traces every test"
        " (default: none, and nothing leaves the machine)",
    )
    group.addoption(
        f"{OPTION}-content",
        choices=CONTENTS,
        default=None,
        help="how much of it: full; redacted, without secrets (default); none, which leaves structure, names, times,"
        " tokens and verdicts",
    )
    for name, text in (
        ("strict", "exit with 1 where tests pass and something could not be sent"),
        ("anonymous", "send without a credential; whoever has the address of such a trace can read it"),
    ):
        group.addoption(f"{OPTION}-{name}", action="store_const", const="true", default=None, help=text)
    group.addoption(
        f"{OPTION}-timeout",
        metavar="SECONDS",
        default=None,
        help="the most that sending may take in all; what is not sent by then is kept (default: 30)",
    )
    for name, text in (
        ("", f"whose traces are sent to CrewAI AMP: {', '.join(_WHICH)} (default: none)"),
        ("_content", f"how much of a trace is sent: {', '.join(CONTENTS)} (default: redacted)"),
        ("_strict", "exit with 1 where tests pass and a trace could not be sent: true or false (default: false)"),
        ("_anonymous", "send traces without a credential: true or false (default: false)"),
        ("_timeout", "the seconds that sending traces may take in all (default: 30)"),
    ):
        parser.addini(f"crewai_trace_publish{name}", text, default=None)


def resolve(said: Said) -> Publishing | None:
    """What is to be published, if anything is.

    Raises:
        pytest.UsageError: a value that makes no sense; the message names it and the valid ones.
    """
    which = _choice(said, NAME, _WHICH, "none")
    content = _choice(said, "crewai_trace_publish_content", CONTENTS, "redacted")
    strict, anonymous = (_truth(said, f"crewai_trace_publish_{name}") for name in ("strict", "anonymous"))
    seconds = _seconds(said, "crewai_trace_publish_timeout")
    if which == "none":
        return None
    return Publishing(cast("Literal['failed', 'all']", which), cast("Content", content), strict, anonymous, seconds)


def _choice(said: Said, name: str, valid: tuple[str, ...], default: str) -> str:
    value, where = said(name) or (default, "")
    if value not in valid:
        raise pytest.UsageError(f"{where}: {value!r}; valid: {', '.join(valid)}")
    return value


def _truth(said: Said, name: str) -> bool:
    return _choice(lambda asked: _folded(said(asked)), name, (*_YES, *_NO), "no") in _YES


def _folded(found: tuple[str, str] | None) -> tuple[str, str] | None:
    return None if found is None else (found[0].strip().lower(), found[1])


def _seconds(said: Said, name: str) -> float:
    value, where = said(name) or ("", "")
    if not value:
        return _SECONDS
    try:
        return checked_seconds(value)
    except ValueError as error:
        raise pytest.UsageError(f"{where}: {error}") from None


def checked_seconds(text: str) -> float:
    """A number of seconds that sending may take.

    Raises:
        ValueError: it is none; the message says what is valid.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"{text!r}; valid: a number of seconds, more than 0 and at most {_LONGEST:g}")
    return seconds
