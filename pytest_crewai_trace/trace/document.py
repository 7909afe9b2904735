"""The trace as a JSON document."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pytest_crewai_trace.errors import TraceDocumentError
from pytest_crewai_trace.trace.messages import Messages
from pytest_crewai_trace.trace.span import AnySpan, LLMSpan
from pytest_crewai_trace.trace.trace import Trace

SCHEMA_VERSION = 1
_SPANS = TypeAdapter(list[AnySpan])


def dump(trace: Trace, *, indent: int | None = None) -> str:
    """The trace as JSON. What an LLM call shares with an earlier one is written once."""
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
    for span in trace.all_spans:
        written = {"kind": span.kind, **span.model_dump(mode="json", exclude_defaults=True, exclude={"messages"})}
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
    return json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)


def load(text: str | bytes) -> Trace:
    """The trace that ``dump`` wrote."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TraceDocumentError(f"not a trace: not JSON ({error})") from None
    version = document.get("schema_version") if isinstance(document, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise TraceDocumentError("not a trace: a trace is a JSON object with a number 'schema_version'")
    if version > SCHEMA_VERSION:
        raise TraceDocumentError(
            f"a trace of schema version {version}; this version of pytest-crewai-trace reads up to {SCHEMA_VERSION}"
        )
    try:
        del document["schema_version"]
        pool = _pool(document.pop("messages"))
        spans: list[dict[str, Any]] = document.pop("spans")
        for written in spans:
            if "messages" in written:
                written["messages"] = pool[written["messages"]]
        return Trace(all_spans=tuple(_SPANS.validate_python(spans)), **document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise TraceDocumentError(f"not a trace: {where}: {first['msg']}") from None
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise TraceDocumentError(f"not a trace: {error!r}") from None


def _pool(written: list[dict[str, Any]]) -> list[Messages]:
    pool: list[Messages] = []
    for node in written:
        base = pool[node["base"]] if "base" in node else None
        shared = node.get("shared", 0)
        if not isinstance(shared, int) or shared < 0 or shared > (0 if base is None else len(base)):
            raise ValueError(f"messages shared: {shared!r}")
        pool.append(Messages(node["tail"], base, shared))
    return pool
