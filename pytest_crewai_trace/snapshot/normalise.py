"""Values that differ from run to run become numbered placeholders: the same value the same one."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

Hook = Callable[[Any, str], Any]

_END = r"\s\"'<>|:;,()\[\]{}"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"


def _temporary(root: str) -> str:
    """Where pytest's own folder for one test, or else the first part, is what differs."""
    return rf"{root}[\\/]+(?:pytest-of-[^/\\{_END}]+[\\/]+pytest-[0-9]+(?:[\\/]+popen-gw[0-9]+)?[\\/]+)?[^/\\{_END}]+"


_ROOTS = [
    r"(?:/private)?/(?:tmp|var/tmp|dev/shm|var/folders/\w+/\w+/T)",
    r"[A-Za-z]:[\\/]+Users[\\/]+[^\\/\s]+[\\/]+AppData[\\/]+Local[\\/]+Temp",
    re.escape(tempfile.gettempdir()),
]
_UUID = r"(?P<uuid>(?<![0-9A-Fa-f])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9A-Fa-f]))"
_ISO_TIME = (
    r"(?<![0-9])[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    r"(?: ?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?"
)
_HTTP_TIME = rf"{_DAY} [0-9]{{4}} [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}} (?:GMT|UTC|[+-][0-9]{{4}})"
_CALL_ID = (
    r"(?P<id>(?<![A-Za-z0-9])(?:call|toolu|tooluse|srvtoolu|fc|msg|resp|chatcmpl)[_-]"
    r"(?=[A-Za-z]{0,64}[0-9])[A-Za-z0-9]{12,})"
)
_PORT = r"(?:localhost|127\.0\.0\.1|\[::1\]|0\.0\.0\.0):(?P<port>[0-9]{2,5})(?![0-9])"
_ADDRESS = r"(?<=at )(?P<address>0x[0-9a-fA-F]{6,16})(?![0-9a-fA-F])"
_PATH = rf"(?P<tmp>(?<![\w.])(?:{'|'.join(_temporary(root) for root in _ROOTS)}))"
_BUILT_IN = re.compile("|".join([_UUID, f"(?P<time>{_ISO_TIME}|{_HTTP_TIME})", _CALL_ID, _PATH, _PORT, _ADDRESS]))


class Normaliser:
    """Numbers the placeholders of one snapshot, in the order in which their values first occur in it.

    ``patterns`` are the user's; a named group is what is replaced and names its placeholder.
    """

    def __init__(self, patterns: Iterable[re.Pattern[str]] = ()) -> None:
        self._user_patterns = tuple(patterns)
        self._numbers: dict[str, dict[str, int]] = {}

    def text(self, text: str) -> str:
        """With numbered placeholders."""
        for pattern in self._user_patterns:
            text = pattern.sub(self._numbered, text)
        return _BUILT_IN.sub(self._numbered, text) if _may_differ(text) else text

    def neutral(self, text: str) -> str:
        """With placeholders that have no number: equal for texts that differ only in what differs from run to run."""
        for pattern in self._user_patterns:
            text = pattern.sub(_unnumbered, text)
        return _BUILT_IN.sub(_unnumbered, text) if _may_differ(text) else text

    def _numbered(self, match: re.Match[str]) -> str:
        name = match.lastgroup or "value"
        seen = self._numbers.setdefault(name, {})
        value = match[match.lastgroup] if match.lastgroup else match[0]
        return _replaced(match, str(seen.setdefault(value, len(seen) + 1)))


def _may_differ(text: str) -> bool:
    """Whether there is anything in it that each built-in pattern needs one of."""
    return ":" in text or "-" in text or "/" in text or "_" in text or "\\" in text or "0x" in text


def _unnumbered(match: re.Match[str]) -> str:
    return _replaced(match, "?")


def _replaced(match: re.Match[str], number: str) -> str:
    start, end = match.span(match.lastgroup) if match.lastgroup else match.span()
    begin = match.start()
    return f"{match[0][: start - begin]}<{match.lastgroup or 'value'} {number}>{match[0][end - begin :]}"
