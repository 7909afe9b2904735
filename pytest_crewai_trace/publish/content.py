"""How much of what was said in a test is sent: without secrets, or nothing of it at all, and not too much."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.store.clean import shortened

if TYPE_CHECKING:
    from pytest_crewai_trace.publish.envelope import Attribute
    from pytest_crewai_trace.publish.options import Content
    from pytest_crewai_trace.store.clean import Cleaning

MOST_BYTES = 50_000_000  # of the spans, and of the events
MOST_SPANS = 20_000
MOST_EVENTS = 40_000
_LENGTHS = (100_000, 10_000, 1_000, 100)  # of a text: tried in this order until the whole is small enough
# What names, counts and verdicts are called; everything else may be something that somebody said.
_NAMES = frozenset(
    {
        *("crewai.execution_uuid", "event_id", "parent_event_id", "parent_span_approximate", "error.type"),
        *("crewai.event_name", "crewai.subject", "crewai.link.type"),
        *("crewai.agent.key", "crewai.agent.role", "crewai.crew.id", "crewai.crew.key", "crewai.crew.name"),
        *("crewai.crew.process", "crewai.crew.usage_metrics", "crewai.flow.aggregated_crew_usage_metrics"),
        *("crewai.flow.id", "crewai.flow.name", "crewai.flow.method_names", "crewai.method.name"),
        *("crewai.task.id", "crewai.task.key", "crewai.task.name", "crewai.task.output_format"),
        *("crewai.llm.call_id", "crewai.llm.call_type", "crewai.guardrail.type", "crewai.mcp.server_name"),
        *("crewai.mcp.tool_name", "crewai.mcp.transport_type", "crewai.skill.name", "crewai.skill.disclosure_level"),
        *("gen_ai.operation.name", "gen_ai.workflow.name", "gen_ai.agent.id", "gen_ai.agent.name"),
        *("gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model", "gen_ai.response.id"),
        *("gen_ai.response.finish_reasons", "gen_ai.output.type", "gen_ai.tool.name", "gen_ai.tool.type"),
        "gen_ai.conversation.id",
    }
)
_SUBJECTS_THAT_SAY = ("guardrail", "conversation", "policy", "human")  # spans whose subject is what somebody said
# The attributes of a test that say what somebody said.
_SAID_OF_TESTS = ("crewai.test.message", "crewai.test.parameter.")
_EVENT_NAMES = frozenset(
    {
        *("type", "timestamp", "event_id", "parent_event_id", "previous_event_id", "triggered_by_event_id"),
        *("started_event_id", "emission_sequence", "agent_id", "agent_key", "agent_role", "call_id", "call_type"),
        *("crew_name", "flow_name", "method_name", "model", "response_id", "finish_reason", "source_type", "task_id"),
        *("task_name", "tool_name", "tool_class", "server_name", "transport_type", "skill_name", "output_format"),
        *("usage", "total_tokens", "from_cache", "run_attempts", "delegations", "retry_count", "success", "attempt"),
    }
)


class Cleaner:
    """Takes out of texts and plain data what is not to be sent; ``where`` says to the user's hook where it stands.

    Without a ``cleaning`` texts stay as they are: somebody has cleaned them.
    """

    def __init__(self, cleaning: Cleaning | None, content: Content) -> None:
        self._cleaning = cleaning
        self._full = content == "full"
        self.names_only = content == "none"

    def value(self, value: Any, where: str) -> Any:
        """In full, only the secrets of the environment, our own credential among them, are taken out."""
        if self._cleaning is None:
            return value
        return self._cleaning.known(value) if self._full else self._cleaning.value(value, where)

    def text(self, text: str, where: str) -> str:
        # In JSON a name says that its value is a secret.
        if self._cleaning is not None and text.startswith(("{", "[")):
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                pass
            else:
                cleaned = self.value(value, where)
                return text if cleaned == value else json.dumps(cleaned)
        return str(self.value(text, where))


def names_only(test: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """The attributes of a test without what was said in it."""
    return {name: value for name, value in test.items() if not name.startswith(_SAID_OF_TESTS)}


def spans(serialised: bytes, cleaner: Cleaner) -> bytes:
    """An OTLP request with its texts cleaned, and of at most ``MOST_BYTES`` and ``MOST_SPANS``."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(serialised)
    for scope in _scopes(request):
        if len(scope.spans) > MOST_SPANS:
            first = sorted(scope.spans, key=lambda span: span.start_time_unix_nano)[:MOST_SPANS]
            del scope.spans[:]
            scope.spans.extend(first)
        for span in scope.spans:
            if cleaner.names_only:
                _strip(span)
            _each_text(span, cleaner.text)
    whole = bytes(request.SerializeToString(deterministic=True))
    for most in _LENGTHS:
        if request.ByteSize() <= MOST_BYTES:
            break
        request = ExportTraceServiceRequest.FromString(whole)
        for scope in _scopes(request):
            for span in scope.spans:
                _each_text(span, partial(_cut, most))
    return bytes(request.SerializeToString(deterministic=True))


def _scopes(request: Any) -> list[Any]:
    return [scope for resource in request.resource_spans for scope in resource.scope_spans]


def _cut(most: int, text: str, where: str) -> str:
    return str(shortened(text, most))


def _strip(span: Any) -> None:
    kept = [each for each in span.attributes if _says_nothing(span.name, each)]
    del span.attributes[:]
    span.attributes.extend(kept)
    span.status.message = ""
    del span.events[:]


def _says_nothing(name: str, attribute: Any) -> bool:
    if attribute.value.WhichOneof("value") in ("int_value", "double_value", "bool_value"):
        return bool(attribute.key.startswith(("crewai.", "gen_ai.")))
    if attribute.key == "crewai.subject":
        return not any(word in name for word in _SUBJECTS_THAT_SAY)
    return attribute.key in _NAMES


def _each_text(span: Any, change: Callable[[str, str], str]) -> None:
    if span.status.message:
        span.status.message = change(span.status.message, "span.status")
    for attributes in (span.attributes, *(event.attributes for event in span.events)):
        for attribute in attributes:
            for value in _texts(attribute.value):
                value.string_value = change(value.string_value, attribute.key)


def _texts(value: Any) -> Iterator[Any]:
    match value.WhichOneof("value"):
        case "string_value":
            yield value
        case "array_value":
            for each in value.array_value.values:
                yield from _texts(each)
        case "kvlist_value":
            for each in value.kvlist_value.values:
                yield from _texts(each.value)
        case "bytes_value":  # crewAI sends none
            value.string_value = ""


def events(made: Sequence[dict[str, Any]], cleaner: Cleaner) -> tuple[dict[str, Any], ...]:
    """Events of the older protocol, cleaned, and of at most ``MOST_BYTES`` and ``MOST_EVENTS``."""
    said = {text for event in made for text in _descriptions(event["event_data"])}
    cleaned: list[dict[str, Any]] = []
    for event in made[:MOST_EVENTS]:
        data = event["event_data"]
        if cleaner.names_only:
            data = {name: value for name, value in data.items() if _is_name(name, value, said)}
        cleaned.append({**event, "event_data": cleaner.value(data, event["type"])})
    fitting = cleaned
    for most in _LENGTHS:
        if len(json.dumps(fitting)) <= MOST_BYTES:
            break
        fitting = shortened(cleaned, most)
    return tuple(fitting)


def _descriptions(data: dict[str, Any]) -> list[Any]:
    """A task without a name has its description for one."""
    return [data[name] for name in ("task_description", "task_prompt") if isinstance(data.get(name), str)]


def _is_name(name: str, value: Any, said: set[Any]) -> bool:
    if name not in _EVENT_NAMES or (isinstance(value, str) and value in said):
        return False
    if name == "task_name" and isinstance(value, str) and (len(value) > 80 or "\n" in value):
        return False
    counts = isinstance(value, dict) and all(isinstance(count, int | float) for count in value.values())
    return counts or not isinstance(value, dict | list)
