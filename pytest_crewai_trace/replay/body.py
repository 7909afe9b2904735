"""Bodies of requests and replies: from bytes to what a person can review, and back."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from pytest_crewai_trace.replay.handwritten import LayoutError
from pytest_crewai_trace.replay.layout import write

Kind = Literal["json", "text", "crlf", "base64"]
KINDS: tuple[Kind, ...] = ("json", "text", "crlf", "base64")


class BodyError(ValueError):
    """A body that cannot be kept, or a written one that cannot be read."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body by its kind: a value of JSON, text, text whose lines end in CR LF, or bytes."""

    kind: Kind
    value: Any

    @property
    def data(self) -> bytes:
        """The body as it goes over the wire."""
        if self.kind == "json":
            return json.dumps(self.value, ensure_ascii=False, separators=(",", ":")).encode()
        if self.kind == "base64":
            return self.value  # type: ignore[no-any-return]
        return (self.value if self.kind == "text" else self.value.replace("\n", "\r\n")).encode()  # type: ignore[no-any-return]

    @property
    def canonical(self) -> str:
        """The body as text, the same for equal values of JSON."""
        if self.kind == "json":
            return canonical(self.value)
        return base64.b64encode(self.value).decode() if self.kind == "base64" else self.value

    def document(self) -> dict[str, Any]:
        """The body as it is written."""
        return {self.kind: base64.b64encode(self.value).decode() if self.kind == "base64" else self.value}


def canonical(value: Any) -> str:
    """JSON with its keys in order."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def body_of(data: bytes) -> Body | None:
    """What bytes hold; ``None`` for none."""
    if not data:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return Body("base64", data)
    if text[0] in "{[ \n\r\t":
        try:
            value = json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)
            if isinstance(value, dict | list):
                write([value])  # or it is kept as text
                return Body("json", value)
        except (ValueError, LayoutError, RecursionError):
            pass
    if "\r" in text and text.count("\r\n") == text.count("\r") == text.count("\n"):
        return Body("crlf", text.replace("\r\n", "\n"))
    return Body("text", text)


def json_body(data: bytes) -> Body | None:
    """The body of a request, if it is JSON at first sight; quicker than ``body_of``, and the same to compare."""
    if data[:1] in (b"{", b"["):
        try:
            return Body("json", json.loads(data))
        except (ValueError, RecursionError):
            pass
    return None


def written_body(value: Mapping[str, Any], where: str) -> Body | None:
    """The body in a written request or reply.

    Raises:
        BodyError: more than one body, or one of a wrong type.
    """
    found = [kind for kind in KINDS if kind in value]
    if not found:
        return None
    kind = found[0]
    if len(found) > 1:
        raise BodyError(f"{where} has more than one body: {', '.join(found)}")
    if kind == "json":
        return Body(kind, value[kind])
    if not isinstance(value[kind], str):
        raise BodyError(f"{where}: {kind} is no text")
    if kind != "base64":
        return Body(kind, value[kind])
    try:
        return Body(kind, base64.b64decode(value[kind], validate=True))
    except binascii.Error as error:
        raise BodyError(f"{where}: {error}") from None


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(made := dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def unpacked(data: bytes, encodings: Iterable[str]) -> bytes:
    """A body without its ``Content-Encoding``.

    Raises:
        BodyError: an encoding that is not known here.
    """
    names = [name.strip().lower() for part in encodings for name in part.split(",")]
    for name in reversed([name for name in names if name not in ("", "identity")]):
        unpack = _UNPACK.get(name)
        if unpack is None:
            raise BodyError(f"its encoding {name!r} is not known")
        try:
            data = unpack(data) if data else data
        except Exception as error:  # noqa: BLE001 - each packer has errors of its own
            if not _is_text(data):  # urllib3 may have unpacked it, and left the header
                raise BodyError(f"its {name} cannot be unpacked: {error}") from None
    return data


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error:
        return zlib.decompress(data, -zlib.MAX_WBITS)  # as some servers have it


def _gunzip(data: bytes) -> bytes:
    return zlib.decompress(data, 16 + zlib.MAX_WBITS)


def _brotli(data: bytes) -> bytes:
    for name in ("brotli", "brotlicffi"):
        try:
            return import_module(name).decompress(data)  # type: ignore[no-any-return]
        except ImportError:
            continue
    raise BodyError("brotli is not installed")


def _zstd(data: bytes) -> bytes:
    decompressor = import_module("zstandard").ZstdDecompressor().decompressobj()
    return decompressor.decompress(data)  # type: ignore[no-any-return]


_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "br": _brotli,
    "zstd": _zstd,
}
