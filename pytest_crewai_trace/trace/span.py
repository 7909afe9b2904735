"""The kinds of span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from pytest_crewai_trace.trace.messages import Messages
from pytest_crewai_trace.trace.query import Queries
from pytest_crewai_trace.trace.semconv import OPERATIONS, Kind, Status
from pytest_crewai_trace.trace.usage import Usage
from pytest_crewai_trace.trace.values import Error, Origin, SpanEvent, ToolCall

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.query import SpanList


class Span(Queries, BaseModel):
    """One thing that a test ran. Answers the same queries as the trace, about what happened inside it.

    ``start`` and ``end`` are seconds since the trace began; ``end`` is ``None`` while the span is open.
    ``agent_role`` and ``task_name`` say who it was done for, where crewAI says so.
    """

    __slots__ = ("_tree",)
    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    id: int
    parent_id: int | None = None
    name: str
    status: Status = "unset"
    error: Error | None = None
    start: float = 0.0
    end: float | None = None
    agent_role: str | None = None
    task_name: str | None = None
    events: tuple[SpanEvent, ...] = ()
    origin: Origin = Field(default_factory=Origin, repr=False)

    @property
    def open(self) -> bool:
        """Whether no end was seen: it hung, was suspended, or an exception left it without one."""
        return self.end is None

    @property
    def duration(self) -> float | None:
        """Seconds; ``None`` while open."""
        return None if self.end is None else self.end - self.start

    @property
    def span_name(self) -> str:
        """The name by the GenAI conventions, such as ``execute_tool search``."""
        return f"{self.operation_name} {self.name}"

    @property
    def operation_name(self) -> str:
        """The value of ``gen_ai.operation.name``, or the kind where the conventions have none."""
        return OPERATIONS.get(self.kind, self.kind)

    @property
    def parent(self) -> AnySpan | None:
        """The span it happened in."""
        tree, _ = self._scope()
        return None if self.parent_id is None else tree.spans[self.parent_id]

    @property
    def children(self) -> SpanList[AnySpan]:
        """What happened directly inside, in start order."""
        tree, number = self._scope()
        return tree.children_of(number)

    def __repr__(self) -> str:
        from pytest_crewai_trace.trace.render import label

        return f"<{label(cast('AnySpan', self))}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Span):
            return NotImplemented
        return self._comparable() == other._comparable()

    __hash__ = None  # type: ignore[assignment]  # holds dicts

    def _comparable(self) -> object:
        from pytest_crewai_trace.trace.order import content

        # Outside a trace, as when a test writes one down, nothing is inside.
        return super()._comparable() if is_in_a_trace(self) else [(0, content(self))]


def is_in_a_trace(span: Span) -> bool:
    """Whether a span is part of a trace."""
    try:
        _TREE(span)  # past pydantic's ``__getattr__``, which takes longer to say no
    except AttributeError:
        return False
    return True


_TREE = vars(Span)["_tree"].__get__


class CrewSpan(Span):
    """A run of a crew; ``operation`` is ``kickoff``, ``train`` or ``test``."""

    kind: Literal["crew"] = "crew"
    operation: str = "kickoff"
    inputs: Any = None
    output: Any = None


class FlowSpan(Span):
    """A run of a flow. ``paused`` when it waits for a person."""

    kind: Literal["flow"] = "flow"
    inputs: Any = None
    state: Any = None
    output: Any = None
    paused: bool = False


class MethodSpan(Span):
    """A run of a flow's method; ``result`` of a ``router`` is the label it chose."""

    kind: Literal["method"] = "method"
    flow_name: str | None = None
    router: bool = False
    params: Any = None
    state: Any = None
    result: Any = None
    paused: bool = False


class TaskSpan(Span):
    """A task. ``output`` is the text, ``output_data`` its pydantic or JSON form as plain data."""

    kind: Literal["task"] = "task"
    description: str | None = None
    expected_output: str | None = None
    context: str | None = None
    output: str | None = None
    output_data: Any = None
    output_format: str | None = None
    asynchronous: bool = False


class AgentSpan(Span):
    """An agent at work on a task, or by itself (``lone``: ``Agent.kickoff``).

    At ``max_iter`` iterations crewAI makes it answer with what it has.
    """

    kind: Literal["agent"] = "agent"
    goal: str | None = None
    prompt: Any = None
    output: Any = None
    available_tools: tuple[str, ...] = ()
    max_iter: int | None = None
    lone: bool = False


class LLMSpan(Span):
    """A call of a model.

    ``response`` is the text, or what else the model answered; ``requested_tool_calls`` are the calls it asked for.
    ``time_to_first_chunk`` is in seconds since the call began. ``parameters`` are those of the request that were set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    kind: Literal["llm"] = "llm"
    model: str = ""
    messages: Messages = Field(default_factory=Messages)
    tool_definitions: tuple[Any, ...] = ()
    parameters: dict[str, Any] = Field(default_factory=dict)
    response: Any = None
    requested_tool_calls: tuple[ToolCall, ...] = ()
    call_type: str | None = None
    finish_reason: str | None = None
    response_id: str | None = Field(default=None, repr=False)
    reported_usage: dict[str, Any] | None = None
    chunks: int = 0
    time_to_first_chunk: float | None = None

    @property
    def streamed(self) -> bool:
        """Whether the answer came in chunks."""
        return self.chunks > 0

    @property
    def call_usage(self) -> Usage:
        """Tokens of this call alone."""
        return Usage.of_call(self.reported_usage, failed=self.status == "error")

    @field_validator("messages", mode="before")
    @classmethod
    def _as_messages(cls, value: Any) -> Messages:
        return value if isinstance(value, Messages) else Messages(value)

    @field_serializer("messages")
    def _messages_as_list(self, value: Messages) -> list[dict[str, Any]]:
        return value.to_list()


class ToolSpan(Span):
    """One attempt at a tool call; a retried call is several. ``mcp_server`` names the server of an MCP tool."""

    kind: Literal["tool"] = "tool"
    arguments: dict[str, Any] = Field(default_factory=dict)
    result: Any = None
    cached: bool = False
    attempt: int = 1
    mcp_server: str | None = None

    @property
    def call(self) -> ToolCall:
        """The call as data to compare."""
        return ToolCall(
            self.name,
            self.arguments,
            result=self.result,
            error=None if self.error is None else str(self.error),
            agent=self.agent_role,
            task=self.task_name,
            cached=self.cached,
        )


class MemorySpan(Span):
    """A memory operation: ``save``, ``query`` or ``retrieval``. ``background`` saves go on beside what comes after."""

    kind: Literal["memory"] = "memory"
    operation: str
    query: str | None = None
    value: Any = None
    results: Any = None
    background: bool = False


class KnowledgeSpan(Span):
    """A look-up in knowledge sources: ``query`` or ``retrieval``."""

    kind: Literal["knowledge"] = "knowledge"
    operation: str
    query: str | None = None
    results: Any = None


class GuardrailSpan(Span):
    """One check by a guardrail; ``attempt`` counts from 1, ``success`` is its verdict, ``feedback`` why it said no."""

    kind: Literal["guardrail"] = "guardrail"
    guardrail_type: str | None = None
    attempt: int = 1
    success: bool | None = None
    result: Any = None
    feedback: str | None = None


class ReasoningSpan(Span):
    """An agent's reasoning before it begins a task."""

    kind: Literal["reasoning"] = "reasoning"
    attempt: int = 1
    plan: str | None = None
    ready: bool | None = None


class PlanningSpan(Span):
    """One item of an agent's plan: ``execute`` it, or ``observe`` how it went."""

    kind: Literal["planning"] = "planning"
    operation: str
    number: int = 0
    description: str | None = None
    result: Any = None
    success: bool | None = None


class McpSpan(Span):
    """A connection to an MCP server."""

    kind: Literal["mcp"] = "mcp"
    url: str | None = Field(default=None, repr=False)
    transport: str | None = None


class A2ASpan(Span):
    """An exchange with another agent by A2A."""

    kind: Literal["a2a"] = "a2a"
    operation: str
    endpoint: str | None = Field(default=None, repr=False)
    request: Any = None
    result: Any = None


class HumanFeedbackSpan(Span):
    """A question to a person (``feedback`` on a method's output, or ``input``) and the answer."""

    kind: Literal["human_feedback"] = "human_feedback"
    operation: str
    message: str | None = None
    feedback: str | None = None
    outcome: str | None = None


class ConversationSpan(Span):
    """One turn of a conversational flow."""

    kind: Literal["conversation"] = "conversation"


class SkillSpan(Span):
    """Discovery or download of skills."""

    kind: Literal["skill"] = "skill"
    operation: str
    found: tuple[str, ...] = ()


class EvaluationSpan(Span):
    """An evaluation of an agent."""

    kind: Literal["evaluation"] = "evaluation"
    metric: str | None = None
    score: Any = None


AnySpan = Annotated[
    CrewSpan
    | FlowSpan
    | MethodSpan
    | TaskSpan
    | AgentSpan
    | LLMSpan
    | ToolSpan
    | MemorySpan
    | KnowledgeSpan
    | GuardrailSpan
    | ReasoningSpan
    | PlanningSpan
    | McpSpan
    | A2ASpan
    | HumanFeedbackSpan
    | ConversationSpan
    | SkillSpan
    | EvaluationSpan,
    Field(discriminator="kind"),
]
SPAN_CLASSES: dict[Kind, type[Span]] = {cls.model_fields["kind"].default: cls for cls in Span.__subclasses__()}
