"""The trace as a JSON document."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from pytest_crewai_trace.errors import TraceDocumentError
from pytest_crewai_trace.trace.messages import Messages
from pytest_crewai_trace.trace.render import cut, printable
from pytest_crewai_trace.trace.span import AnySpan, LLMSpan
from pytest_crewai_trace.trace.trace import Trace
from pytest_crewai_trace.trace.values import Origin

SCHEMA_VERSION = 1
_NOT_FIELDS = frozenset({"schema_version", "messages", "spans"})
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SPANS = TypeAdapter(list[AnySpan])
_ORIGIN = TypeAdapter(Origin).serializer
_APART = {"messages", "origin"}  # as part of its span pydantic compares each origin with the default: that is slower


def to_document(trace: Trace, *, most_spans: int | None = None) -> dict[str, Any]:
    """The trace as plain data. What an LLM call shares with an earlier one is written once.

    Of more than ``most_spans`` the first are written, and that there were more is what makes it incomplete.
    """
    pool: list[Messages] = []
    numbers: dict[int, int] = {}

    def number_of(messages: Messages) -> int:
        chain: list[Messages] = []
        node: Messages | None = messages
        while node is not None and id(node) not in numbers:
            chain.append(node)
            node = node.base
        for link in reversed(chain):  # a base has a lower number than what is built on it
            numbers[id(link)] = len(pool)
            pool.append(link)
        return numbers[id(messages)]

    spans = []
    for span in trace.all_spans[:most_spans]:
        written = {"kind": span.kind, **span.model_dump(mode="json", exclude_defaults=True, exclude=_APART)}
        if origin := _ORIGIN.to_python(span.origin, mode="json", exclude_defaults=True):
            written["origin"] = origin
        if isinstance(span, LLMSpan):
            written["messages"] = number_of(span.messages)
        spans.append(written)
    document = {
        "schema_version": SCHEMA_VERSION,
        **trace.model_dump(mode="json", exclude_defaults=True, exclude={"all_spans"}),
        "messages": [
            {"tail": list(node.tail)}
            if node.base is None
            else {"base": numbers[id(node.base)], "shared": node.shared, "tail": list(node.tail)}
            for node in pool
        ],
        "spans": spans,
    }
    if len(spans) < len(trace.all_spans):
        reason = f"only the first {len(spans):,} of {len(trace.all_spans):,} spans were kept"
        document["incomplete"] = [*document.get("incomplete", ()), reason]
    return document


def dump(trace: Trace, *, indent: int | None = None) -> str:
    """The trace as JSON."""
    return as_json(to_document(trace), indent=indent).decode()


def as_json(document: dict[str, Any], *, indent: int | None = None) -> bytes:
    """A document as JSON in UTF-8, without lone surrogates.

    Raises:
        ValueError: a number that JSON does not have, in a trace that was not captured but made by hand.
    """
    if indent is None:
        with contextlib.suppress(PydanticSerializationError):  # a lone surrogate, or deeper than it goes
            content = to_json(document)
            if b"NaN" not in content and b"Infinity" not in content:
                return content
    separators = (",", ":") if indent is None else None
    text = json.dumps(document, indent=indent, separators=separators, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace")


def load(text: str | bytes) -> Trace:
    """The trace that ``dump`` wrote."""
    return trace_of(parsed(text))


def parsed(text: str | bytes, parse_int: Callable[[str], int] | None = None) -> dict[str, Any]:
    """The document in a text, of a version that is known here. ``parse_int`` is json's.

    Raises:
        TraceDocumentError: there is none.
    """
    try:
        document = json.loads(text, parse_constant=_no_number, parse_float=_float, parse_int=parse_int)
        if _SURROGATE.search(text if isinstance(text, bytes) else text.encode()):
            json.dumps(document, ensure_ascii=False).encode()  # alone, they could not be written again
    except (ValueError, RecursionError) as error:
        raise _not_a_trace(f"not JSON ({error})") from None
    version = document.get("schema_version") if isinstance(document, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _not_a_trace("a trace is a JSON object with a number 'schema_version'")
    if version > SCHEMA_VERSION:
        raise TraceDocumentError(
            f"a trace of schema version {cut(str(version), 20)};"
            f" this version of pytest-crewai-trace reads up to {SCHEMA_VERSION}"
        )
    return document  # type: ignore[no-any-return]  # it has a version, so it is a dict


def trace_of(document: dict[str, Any]) -> Trace:
    """The trace of a document, which is left as it is.

    Raises:
        TraceDocumentError: it is of no trace.
    """
    try:
        pool = _pool(_list(document, "messages"))
        spans = [
            {**written, "messages": _pick(pool, written["messages"])} if "messages" in written else written
            for written in _list(document, "spans")
        ]
        rest = {name: value for name, value in document.items() if name not in _NOT_FIELDS}
        return Trace(all_spans=tuple(_SPANS.validate_python(spans)), **rest)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        why = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
        raise _not_a_trace(f"{where}: {why}" if where else why) from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _not_a_trace(str(error)) from None


def _not_a_trace(why: str) -> TraceDocumentError:
    return TraceDocumentError(f"not a trace: {printable(cut(why, 200))}")


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _list(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects that the document must have."""
    found = document.get(name)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ValueError(f"{name!r} should be a list of objects")
    return found


def _pick(pool: list[Messages], number: Any) -> Messages:
    if type(number) is not int or not 0 <= number < len(pool):
        raise ValueError(f"there are no messages {number!r}")
    return pool[number]


def _pool(written: list[dict[str, Any]]) -> list[Messages]:
    pool: list[Messages] = []
    for node in written:
        base = _pick(pool, node["base"]) if "base" in node else None
        shared = node.get("shared", 0)
        if type(shared) is not int or not 0 <= shared <= (0 if base is None else len(base)):
            raise ValueError(f"messages cannot share {shared!r}")
        pool.append(Messages(_list(node, "tail"), base, shared))
    return pool
