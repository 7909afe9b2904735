"""Takes secrets out of text and plain data, before they are stored, shown or sent.

What is found: keys by their shape, values by the names that they are given, and values that are known. What is not:
a secret without a telling shape or name, one in pieces, one in hexadecimal, one encrypted or packed otherwise than
with base64, gzip or zlib. All patterns take linear time.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from pytest_crewai_trace.trace.secret_names import Strength, is_secret, strength_of
from pytest_crewai_trace.trace.secret_shapes import TOKEN, label_of

Hook = Callable[[str, str], "str | None"]

MARK = "[redacted"  # begins every placeholder
FAILED = f"{MARK}: a redactor failed]"
TOO_DEEP = f"{MARK}: too deep to look through]"
_MOST_LEVELS = 100
# To ask whether one of them is a mapping takes long.
_SCALARS = frozenset({int, float, bool, type(None)})
_MOST_UNPACKED = 20_000_000  # bytes of what one packed text holds
_SHORTEST_VALUE = 8  # of a known secret: a shorter one would take words out of everything

_SHORTEST_TOKEN, _SHORTEST_BASE64 = 13, 24  # a shorter word is none of these
_AZURE = re.compile(r"[A-Za-z0-9]{20,60}(?=JQQJ99)JQQJ99[A-Za-z0-9]{8,}|[\w.~-]{3}[0-9]Q~[\w.~-]{20,}", re.ASCII)
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[^-]*(?:-(?!----)[^-]*)*-----END [A-Z0-9 ]{0,40}-----|(?:[A-Za-z0-9+/=]{20,}|\s|\\+[nr])*)"
)
_USER_INFO = re.compile(
    r"(:\\{0,8}/\\{0,8}/)(?!\[redacted)"
    r"(?:[^\s/@:\"'<>\\?#]{0,256}:[^\s/\"'<>\\?#]{1,512}|[^\s/@:\"'<>\\?#]{16,512})@"
)
_SCHEME = re.compile(
    r"(?i:(bearer|basic)(\s{1,4}|%20|\+))(?=[A-Za-z_.~+/-]{0,64}[0-9=])([\w.~+/-]{12,}={0,2})", re.ASCII
)
_QUERY = re.compile(
    r"(?i:([?&;](?:key|sig|signature|x-(?:amz|goog)-(?:signature|credential|security-token))=))([\w.~%+/=-]{8,})",
    re.ASCII,
)
_BASE64 = re.compile(r"[\w+/-]{24,}={0,2}", re.ASCII)
_ESCAPED_ASCII = re.compile(r"(?<!\\)\\+(?:u00|x)([2-7][0-9A-Fa-f])")
_ESCAPED_SLASH = re.compile(r"(?<!\\)\\+/")

# A value by its name: a root of the name, then its whole, then what stands between name and value.
_ROOTS = ("key", "token", "secret", "pass", "pwd", "credential", "auth", "cookie", "jwt", "bearer")
_ROOT = re.compile(f"(?i:{'|'.join(_ROOTS)})")
_NAME_REST = re.compile(r"[\w.-]*", re.ASCII)
_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_LONGEST_NAME = 80
_TELLING = 256  # so much of a value without quotes says whether it is a secret
_BETWEEN = re.compile(
    r"(?P<close>\\{0,16}[\"'])?\]?\s{0,4}"
    r"(?:(?::\s{0,2}(?:str|string|bytes|SecretStr)\s{0,2})?=>?|:=|:(?!//)|(?P<comma>,)|(?P<tag>>))"
    r"\s{0,8}(?:\\{1,16}[nr])?\s{0,80}(?:-\s{1,4}|\[(?!redacted)\s{0,4})?b?(?P<open>\\{0,16}[\"'])?"
)
_UNQUOTED = re.compile(r"[\w.~+/%-]+={0,2}", re.ASCII)
_PASSWORD = re.compile(r"[^\s,;&\"'<>\\]+")
_LINE = re.compile(r"[^\r\n\"'\\]+")
_IN_TAG = re.compile(r"[^<]+")


def known_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The values of the environment variables whose names say that they are secret, with those names."""
    return {
        value: name
        for name, value in environ.items()
        if len(value) >= _SHORTEST_VALUE
        and (strength := strength_of(name)) is not Strength.NONE
        and name != "GOOGLE_APPLICATION_CREDENTIALS"  # a path
        and is_secret(value, strength)
    }


class Redactor:
    """Replaces secrets by readable placeholders; the same text gives the same, and a second time changes nothing.

    ``patterns`` are regular expressions of the user's; what their group ``secret``, or the whole of them, matches is
    replaced. ``secrets`` maps known values to what they are called. ``hook`` is called with each text, redacted so
    far, and with where it stands; it gives the text back, changed, or ``None``. If it raises, the text is dropped and
    ``failures`` has the exception.

    Raises:
        ValueError: a pattern that is no regular expression, or that matches the empty text.
    """

    def __init__(
        self,
        patterns: Iterable[str | re.Pattern[str]] = (),
        secrets: Mapping[str, str] | None = None,
        hook: Hook | None = None,
    ) -> None:
        self.patterns = tuple(_compiled(pattern) for pattern in patterns)
        self.hook = hook
        self.failures: list[Exception] = []
        forms = {form: name for value, name in (secrets or {}).items() for form in _forms(value)}
        self._known = sorted(forms.items(), key=lambda known: (-len(known[0]), known[0]))
        self._shortest = len(self._known[-1][0]) if self._known else sys.maxsize

    def text(self, text: str, where: str = "") -> str:
        """``text`` without its secrets. ``where`` is for the hook: a field, a header, a file."""
        clean = self._scanned(text, levels=3)
        return clean if self.hook is None else self._hooked(clean, where)

    def value(self, value: Any, where: str = "", named: Strength = Strength.NONE) -> Any:
        """Plain data without its secrets, also in keys; what holds none is given back as it is.

        Whatever stands under a name such as ``api_key`` is a secret; ``named`` is what the value's own name says.
        """
        return self._value(value, where, named, 0)

    def known(self, value: Any) -> Any:
        """Plain data without the known secrets, whatever else it holds."""
        if isinstance(value, str):
            return self._literals(value)
        if isinstance(value, Mapping):
            return {self.known(key): self.known(item) for key, item in value.items()}
        return [self.known(item) for item in value] if isinstance(value, list | tuple) else value

    def _value(self, value: Any, where: str, named: Strength, level: int) -> Any:
        if isinstance(value, str):
            if named is not Strength.NONE and is_secret(value, named):
                return f"{MARK} value]"
            return self.text(value, where)
        if type(value) in _SCALARS or not isinstance(value, (dict, list, tuple, Mapping)):
            return self._scalar(value, named)
        if level >= _MOST_LEVELS:
            return TOO_DEEP
        if not isinstance(value, (list, tuple)):
            return self._mapping(value, where, named, level)
        # A header as a pair: ("Authorization", "Bearer ...").
        if len(value) == 2 and isinstance(value[0], str) and named is Strength.NONE:
            named = strength_of(value[0])
            items = [self._value(value[0], where, Strength.NONE, level + 1)]
            items.append(self._value(value[1], where, named, level + 1))
        else:
            items = [self._value(item, where, named, level + 1) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return tuple(items) if isinstance(value, tuple) else items

    def _scalar(self, value: Any, named: Strength) -> Any:
        if isinstance(value, bytes | bytearray):
            return self._bytes(bytes(value), named)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return value
        digits = str(value) if self._known else ""
        known = len(digits) >= self._shortest and self._literals(digits) != digits
        return f"{MARK} value]" if known or named is Strength.PASSWORD else value

    def _mapping(self, value: Mapping[Any, Any], where: str, named: Strength, level: int) -> Any:
        made: dict[Any, Any] = {}
        changed = False
        for key, item in value.items():
            new_key, inner = key, named
            inside = where
            if isinstance(key, str):
                new_key = self.text(key, where)
                while new_key != key and new_key in made:
                    new_key += "'"
                inner = max(named, strength_of(key))
                inside = f"{where}.{key}" if where else key
            made[new_key] = self._value(item, inside, inner, level + 1)
            changed = changed or made[new_key] is not item or new_key is not key
        return made if changed else value

    def _bytes(self, value: bytes, named: Strength) -> bytes:
        if named is not Strength.NONE:
            return f"{MARK} value]".encode()
        unpacked = _unpacked(value)
        text = value.decode("latin-1") if unpacked is None else unpacked
        clean = self._scanned(text, levels=2)
        if clean == text:
            return value
        return f"{MARK} packed data]".encode() if unpacked is not None else clean.encode("latin-1", "replace")

    def _hooked(self, text: str, where: str) -> str:
        if self.hook is None:
            return text
        try:
            given = self.hook(text, where)
            if given is None:
                return text
            if type(given) is not str:
                raise TypeError(f"it gave {type(given).__name__}, not str or None")
        except Exception as error:  # noqa: BLE001 - whatever it was, the text is not to be trusted
            self.failures.append(error)
            return FAILED
        return given

    def _scanned(self, text: str, levels: int) -> str:
        if len(text) < _SHORTEST_VALUE and not self.patterns:
            return text
        clean = self._literals(text) if len(text) >= self._shortest else text
        for pattern in self.patterns:
            clean = pattern.sub(_group_redacted, clean)
        longest = max(map(len, clean.split()), default=0) if len(clean) >= _SHORTEST_TOKEN else 0
        clean = _by_shape_and_name(clean, longest)
        if "\\" in clean:
            plain = _ESCAPED_SLASH.sub("/", _ESCAPED_ASCII.sub(_unescaped, clean))
            # Unescaped for good only where that brought something to light.
            if plain != clean and (found := _by_shape_and_name(self._literals(plain), longest)) != plain:
                clean = found
        if levels and longest >= _SHORTEST_BASE64:
            clean = _BASE64.sub(lambda match: self._base64(match[0], levels - 1), clean)
        return clean

    def _literals(self, text: str) -> str:
        for secret, name in self._known:
            if len(secret) <= len(text) and secret in text:
                text = text.replace(secret, f"{MARK} ${name}]")
        return text

    def _base64(self, run: str, levels: int) -> str:
        packed = run.rstrip("=").replace("-", "+").replace("_", "/")
        packed = packed[:-1] if len(packed) % 4 == 1 else packed
        try:
            data = base64.b64decode(packed + "=" * (-len(packed) % 4))
        except (ValueError, binascii.Error):
            return run
        text = _unpacked(data)
        if text is None:
            try:
                text = data.decode()
            except UnicodeDecodeError:
                text, levels = data.decode("latin-1"), 0
        return run if self._scanned(text, levels) == text else f"{MARK} base64]"


def _compiled(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    if compiled.search("") is not None:
        raise ValueError(f"{compiled.pattern!r} matches the empty text")
    return compiled


def _group_redacted(match: re.Match[str]) -> str:
    start, end = match.span("secret") if "secret" in match.re.groupindex else match.span()
    if start < 0 or MARK in match[0]:
        return match[0]
    begin = match.start()
    return f"{match[0][: start - begin]}{MARK}]{match[0][end - begin :]}"


def _forms(value: str) -> set[str]:
    """A known secret as it may be written down."""
    once = json.dumps(value)[1:-1]
    twice = json.dumps(once)[1:-1]
    escaped = {once, twice, json.dumps(twice)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {value, *escaped, quote(value, safe=""), quote_plus(value)} - {""}


def _unescaped(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return match[0] if character in '"\\\x7f' else character


def _unpacked(data: bytes) -> str | None:
    """The text that gzip or zlib packed, up to a limit; ``None`` if it is neither."""
    if data[:2] != b"\x1f\x8b" and (len(data) < 2 or data[0] & 0x0F != 8 or (data[0] << 8 | data[1]) % 31):
        return None
    try:
        return zlib.decompressobj(wbits=47).decompress(data, _MOST_UNPACKED).decode("utf-8", "replace")
    except zlib.error:
        return None


def _by_shape_and_name(text: str, longest: int) -> str:
    """Without what the patterns find; ``longest`` is the length of the longest word."""
    if "-----BEGIN" in text:
        text = _PEM.sub(f"{MARK} private key]", text)
    if "@" in text:
        text = _USER_INFO.sub(rf"\1{MARK} user]@", text)
    if ":" in text or "=" in text or "--" in text or '",' in text or "'," in text or ">" in text:
        text = _named_values(text)
        if "?" in text or "&" in text or ";" in text:
            text = _QUERY.sub(rf"\1{MARK} value]", text)
    if "earer" in text or "asic" in text or "EARER" in text or "ASIC" in text:
        text = _SCHEME.sub(rf"\1\2{MARK} token]", text)
    if longest >= _SHORTEST_TOKEN:
        text = TOKEN.sub(_labelled, text)
        if "JQQJ99" in text or "Q~" in text:
            text = _AZURE.sub(f"{MARK} Azure key]", text)
    return text


def _labelled(match: re.Match[str]) -> str:
    return f"{MARK} {label_of(match[0])}]"


def _named_values(text: str) -> str:
    """Without the values that a name such as ``api_key`` stands before."""
    folded = text.casefold()  # most texts have no such name, and this finds it out at a twentieth of the cost
    for name in _ROOTS:
        if name in folded:
            break
    else:
        return text
    parts: list[str] = []
    done = position = 0
    while root := _ROOT.search(text, position):
        start, lowest = root.start(), max(position, root.start() - _LONGEST_NAME)
        while start > lowest and text[start - 1] in _NAME_CHARACTERS:
            start -= 1
        rest = _NAME_REST.match(text, root.end())
        position = rest.end() if rest is not None else root.end()
        name = text[start:position]
        if position > start and start and text[start - 1] == "\\" and name[:1] in "nrt":
            name = name[1:]  # \napi_key
        strength = strength_of(name) if len(name) <= _LONGEST_NAME else Strength.NONE
        if strength is Strength.NONE:
            continue
        span = _value_span(text, start, position, name, strength)
        if span is not None:
            parts += [text[done : span[0]], f"{MARK} value]"]
            done = position = span[1]
    return "".join([*parts, text[done:]]) if parts else text


def _value_span(text: str, start: int, end: int, name: str, strength: Strength) -> tuple[int, int] | None:
    """Where the value of a name stands, if it is one to be taken out."""
    if name.startswith("--") and text[end : end + 1] == " ":
        found = _PASSWORD.match(text, end + 1)
        return found.span() if found is not None and is_secret(found[0], strength, quoted=False) else None
    between = _BETWEEN.match(text, end)
    if between is None:
        return None
    opened, begin = between["open"], between.end()
    if between["comma"] and not (between["close"] and opened and strength >= Strength.HEADER):
        return None
    if between["tag"]:
        found = _IN_TAG.match(text, begin) if start and text[start - 1] == "<" else None
        return found.span() if found is not None and is_secret(found[0], strength) else None
    if opened:
        last = _closing(text, begin, opened)
        value = text[begin:last]
        return (begin, last) if is_secret(value, strength) else None
    pattern = {Strength.HEADER: _LINE, Strength.PASSWORD: _PASSWORD}.get(strength, _UNQUOTED)
    head = pattern.match(text, begin, min(len(text), begin + _TELLING))
    if head is None or not is_secret(head[0], strength, quoted=False):
        return None
    found = pattern.match(text, begin)
    return None if found is None or text[found.end() : found.end() + 1] in ("(", "[") else found.span()


def _closing(text: str, begin: int, opened: str) -> int:
    """Where the text ends that a quote, behind so many backslashes, opened."""
    mark, slashes = opened[-1], len(opened) - 1
    at = text.find(mark, begin)
    while at >= 0:
        before = at
        while before > begin and text[before - 1] == "\\":
            before -= 1
        count = at - before
        # One level deeper a quote has more backslashes; at the outermost, an even number is none.
        if count <= slashes or (slashes == 0 and count % 2 == 0):
            return before if count == slashes else at - min(count, slashes)
        at = text.find(mark, at + 1)
    return len(text)
