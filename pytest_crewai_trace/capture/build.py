"""From a record to spans: which event ends which start, and who is inside whom.

crewAI's own scopes get out of step whenever something raises, so neither the parent nor the start that the bus names
is taken unseen. The rules were found on real runs; each has a contract test.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from pytest_crewai_trace.capture.draft import Draft
from pytest_crewai_trace.capture.fields import arguments_of, tool_name
from pytest_crewai_trace.capture.mapping import RULES
from pytest_crewai_trace.capture.recorder import BACKGROUND
from pytest_crewai_trace.capture.row import Row
from pytest_crewai_trace.trace.values import SpanEvent

if TYPE_CHECKING:
    from pytest_crewai_trace.capture.recorder import Recorder

# Look-ups in which no task or agent of a task can begin; crewAI's scopes say so when one of them failed.
_LEAVES = frozenset({"memory", "knowledge"})
# What a look-up of an agent's plan may hold; crewAI names the agent as their parent.
_PLANNED = frozenset({"llm", "tool", "agent"})
# What may differ between the start and the end of one span; other ids and names must agree where both have them.
_LOOSE = frozenset({"triggered_by_event_id", "endpoint", "context_id", "crew_name"})


class Builder:
    """Reads the rows of one record in the order in which they were emitted. ``drafts`` are the spans in the making."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.drafts: list[Draft] = []
        self.events: list[SpanEvent] = []
        self.counts = {"spans": 0, "span_events": 0}
        self.ignored: dict[str, int] = {}
        self._by_id: dict[str, Draft] = {}
        self._open: dict[str, dict[str, Draft]] = {}  # type of the start -> event id -> draft
        self._complaints: dict[int | None, str] = {}  # id() of a parent -> why a tool call in it could not be made
        for row in recorder.read_rows():
            self._read(row)
        self._infer_failed_flows()

    # -- rows -----------------------------------------------------------------------------------------------------

    def _read(self, row: Row) -> None:
        if row.replayed:
            self._tell(row, self._open_flow_of(row.source), note="replayed from a checkpoint")
        elif row.rule.role == "ignored":
            self.ignored[row.type] = self.ignored.get(row.type, 0) + 1
        elif row.rule.role == "begin":
            self._begin(row)
        elif row.rule.role == "end":
            self._finish(row)
        else:
            self._point(row)

    def _point(self, row: Row) -> None:
        target = self._by_id.get(row.parent_id or "")
        target = self._turn_of(row, target)
        if row.type in _LOST_CALLS:
            self._lost_call(row, target)
            return
        if target is None and row.type.startswith("skill_"):
            target = next(iter(self._open.get("skill_discovery_started", {}).values()), None)
        self._tell(row, target)

    def _tell(self, row: Row, draft: Draft | None, note: str | None = None) -> None:
        """Keep a row as a span event."""
        self.counts["span_events"] += 1
        told = {name: value for name, value in row.fields.items() if name != "messages" and value is not None}
        if row.error is not None:
            told["error"] = row.error["message"]
        target = None if draft is None else draft.visible()
        events = self.events if target is None else target.events
        time = (row.at - self.recorder.began) / 1e9
        events.append(SpanEvent(name=row.type, attributes=told, time=time, note=note))

    # -- begins ---------------------------------------------------------------------------------------------------

    def _begin(self, row: Row) -> None:
        if row.event_id in self._by_id:
            self._tell(row, self._by_id[row.event_id], note="begun a second time")
            return
        above = self._parent_of(row)
        shown = None if above is None else above.visible()
        if shown is not None and shown.open and _is_part_of(row, shown):
            if row.type == "mcp_tool_execution_started":
                shown.values["mcp_server"] = row.fields.get("mcp_server")
            self._by_id[row.event_id] = shown
            self._tell(row, shown)
            return
        self.counts["spans"] += 1
        draft = Draft(row, above)
        self._add(draft)
        if row.type == "agent_execution_started" and shown is not None:
            if shown.row.type == row.type and shown.open and _same_ids(shown.row, row):
                draft.hidden = True  # crewAI asks the same agent to go on, as after a person's feedback
            else:
                self._take_reasoning(draft, shown)

    def _add(self, draft: Draft) -> None:
        if draft.above is not None:
            draft.above.children.append(draft)
        self.drafts.append(draft)
        self._by_id[draft.row.event_id] = draft
        self._open.setdefault(draft.row.type, {})[draft.row.event_id] = draft

    def _parent_of(self, row: Row) -> Draft | None:
        """The span that a start is inside of: the one it names, or the nearest above that can hold it."""
        above = self._by_id.get(row.parent_id or "")
        if row.rule.kind != BACKGROUND:
            above = _still_running(above)
        if row.rule.kind in ("agent", "task"):
            while above is not None and above.kind in _LEAVES:
                above = above.above
        if row.type == "agent_execution_started":
            above = self._out_of_retried(row, above)
        if row.rule.kind == "method" and above is None:  # a resumed flow has no scope
            above = self._open_flow_of(row.source)
        if row.rule.kind in ("flow", "method"):
            return self._turn_of(row, above)
        return self._planned(row, above) or above

    def _out_of_retried(self, row: Row, above: Draft | None) -> Draft | None:
        """An agent that crewAI runs again after its model failed is a sibling of the first attempt.

        Before 1.15.21 it is emitted as a child, and the first attempt has no end.
        """
        while above is not None:
            tried = above.visible()
            if tried is None or not tried.open or tried.row.type != row.type or not _same_ids(tried.row, row):
                break
            last = tried.last_inside()
            if last is None or last.error is None:
                break
            for draft in above.lineage():  # the hidden ones between, and the agent
                draft.close_like(last)
                self._ended(draft)
                if draft is tried:
                    break
            above = tried.above
        return above

    def _take_reasoning(self, agent: Draft, above: Draft) -> None:
        """crewAI 1.13 reasons before it begins the agent's span; the reasoning is the agent's all the same."""
        for child in islice(reversed(above.children), 1, None):
            if child.kind != "reasoning" or child.values.get("name") != agent.values.get("name"):
                break
            child.move(agent)
            agent.sequence, agent.at = child.sequence - 0.5, child.at

    def _turn_of(self, row: Row, above: Draft | None) -> Draft | None:
        """What a conversational flow does for a turn is inside that turn; its flow may have begun in an earlier one."""
        for turn in reversed(self._open.get("conversation_turn_started", {}).values()):
            if turn.row.source == row.source:
                return above if above is not None and turn in above.lineage() else turn
        return above

    def _planned(self, row: Row, above: Draft | None) -> Draft | None:
        """The item of an agent's plan that something is done for."""
        observes = row.type == "step_observation_started"
        if above is None or (row.rule.kind not in _PLANNED and not observes):
            return None  # without a scope nobody knows whose plan it is
        shown = above.visible()
        number = row.fields.get("number" if observes else "plan_number")
        candidates = [
            draft
            for start in _PLAN_STARTS
            for draft in self._open.get(start, {}).values()
            if (draft.above is not None and draft.above.visible() is shown)
            or draft.above is above
            or _within_plan(draft, shown)
        ]
        if isinstance(number, int):
            candidates = [draft for draft in candidates if draft.values.get("number") == number]
        deepest = [draft for draft in candidates if not any(other.above is draft for other in candidates)]
        if len(deepest) > 1:
            deepest = [draft for draft in deepest if draft.row.thread == row.thread]
        return deepest[0] if len(deepest) == 1 else None

    # -- ends -----------------------------------------------------------------------------------------------------

    def _finish(self, row: Row) -> None:
        draft = self._start_of(row)
        if draft is not None and draft.open and draft.row.type == row.rule.partner:
            self.counts["spans"] += 1
            draft.close(row)
            self._ended(draft)
            return
        part = self._by_id.get(row.start_id or "")
        if row.rule.partner == "mcp_tool_execution_started" and part is not None and part.kind == "tool":
            part.inner_error = row.error
            self._tell(row, part)
        elif draft is not None:
            if draft.error is not None and "type" not in draft.error and "type" in (row.error or {}):
                draft.error = row.error  # of two reports from two threads, the one that has the exception
            self._tell(row, draft, note="ended a second time")
        elif not self._without_start(row):
            self._tell(row, self._by_id.get(row.parent_id or ""), note="no start was seen")

    def _ended(self, draft: Draft) -> None:
        """Take a span off the open ones; what is still open inside it was left behind, but for background work."""
        self._open.get(draft.row.type, {}).pop(draft.row.event_id, None)
        inside = [draft]
        while inside:
            for child in inside.pop().children:
                if child.open and child.kind != BACKGROUND:
                    child.over = draft
                    inside.append(child)

    def _start_of(self, row: Row) -> Draft | None:
        """The start that an end ends.

        In this order: the one the emitter named; the bus's, if it fits; the one with its call id; the last open one
        that does not contradict.
        """
        partner = row.rule.partner or ""
        named = self._by_id.get(row.start_id or "")
        if named is not None and named.row.type == partner and (row.given_start or not _contradicts(named.row, row)):
            resumed = not named.open and row.given_start and named.row.source != row.source
            return None if resumed else named
        call_id = row.identifiers.get("call_id")
        if call_id is not None:
            return next((d for d in self._latest(partner) if d.row.identifiers.get("call_id") == call_id), None)
        fitting = [draft for draft in self._latest(partner, open_only=True) if not _contradicts(draft.row, row)]
        same_source = [draft for draft in fitting if draft.row.source == row.source]
        if same_source:
            return same_source[0]
        if fitting and row.rule.kind not in ("crew", "flow", "method"):
            return fitting[0]
        if named is not None and named.row.type == partner:
            return named
        if row.rule.failed and row.rule.kind == BACKGROUND:  # a failing save is reported twice, once without its start
            return next((d for d in self._latest(partner) if d.row.source == row.source and d.error), None)
        return None

    def _latest(self, start_type: str, *, open_only: bool = False) -> Iterator[Draft]:
        """Spans of one type of start, the last first; those that are open before the others."""
        yield from reversed(self._open.get(start_type, {}).values())
        if not open_only:
            yield from (draft for draft in reversed(self.drafts) if draft.row.type == start_type and not draft.open)

    def _without_start(self, row: Row) -> bool:
        """A span for an end that has no start: a run that crewAI resumed, or that failed before it began."""
        kind, partner = row.rule.kind, row.rule.partner or ""
        if row.hidden or kind not in ("crew", "flow", "method"):
            return False
        orphans = [draft for draft in self.drafts if draft.above is None and not draft.hidden and _was_of(draft, row)]
        begun = Row(RULES[partner], partner, row.sequence - 0.5, row.at)
        begun.event_id, begun.source, begun.identifiers = f"before {row.event_id}", row.source, row.identifiers
        begun.thread = self.recorder.thread
        begun.fields = {"name": row.identifiers.get(f"{kind}_name", kind)}
        if orphans:
            first = min(orphans, key=lambda draft: draft.sequence)
            begun.sequence, begun.at, begun.thread = first.sequence - 0.5, first.at, first.row.thread
        draft = Draft(begun, self._open_flow_of(row.source) if kind == "method" else None)
        draft.close(row)
        self._add_made(draft, row)
        for orphan in orphans:
            orphan.move(self.drafts[-1])
        return True

    def _add_made(self, draft: Draft, row: Row) -> None:
        """Add a span, ended by an event, that we made because no event began it."""
        self.counts["spans"] += 1
        self._add(draft)
        self._ended(draft)
        time = (row.at - self.recorder.began) / 1e9
        draft.events.append(SpanEvent(name=row.type, time=time, note="no start was seen"))

    def _open_flow_of(self, source: int) -> Draft | None:
        flows = reversed(self._open.get("flow_started", {}).values())
        return next((draft for draft in flows if draft.row.source == source), None)

    def _infer_failed_flows(self) -> None:
        """Before 1.15.21 a flow whose method raised has no end: only the exception follows the method's failure."""
        for flow in list(self._open.get("flow_started", {}).values()):
            methods = [child for child in flow.children if child.kind == "method"]
            failed = [child for child in methods if child.error is not None]
            if not failed or any(above.kind == "conversation" for above in flow.lineage()):
                continue
            last = failed[-1]
            batch = last.row.identifiers.get("triggered_by_event_id")
            if not any(
                child.sequence > (last.closed_seq or 0) and child.row.identifiers.get("triggered_by_event_id") != batch
                for child in methods
            ):
                flow.close_like(last)
                self._ended(flow)

    # -- tool calls that crewAI tells of without a start -----------------------------------------------------------

    def _lost_call(self, row: Row, target: Draft | None) -> None:
        """A call of a tool that does not exist, or with input that cannot be read, is a failed tool call."""
        above = None if target is None else target.visible()
        name, arguments = tool_name(row.fields.get("tool_name")), arguments_of(row.fields.get("tool_args"))
        recent = self._tool_since_llm(above, name)
        complaint = row.fields.get("error")
        if recent is not None:
            recent.values["arguments"] = recent.values.get("arguments") or arguments
            self._tell(row, recent)
        elif row.type == "tool_validate_input_error":  # a second model may yet mend the input
            self._complaints[id(above)] = str(complaint)
            self._tell(row, above)
        else:
            failure = row.fields.get("failure")
            said = failure.get("message") if isinstance(failure, dict) else failure
            message = self._complaints.pop(id(above), None) or complaint or said
            begun = Row(RULES["tool_usage_started"], "tool_usage_started", row.sequence - 0.5, row.at)
            begun.event_id, begun.source, begun.thread = f"before {row.event_id}", row.source, row.thread
            begun.identifiers = row.identifiers
            begun.fields = {"name": name, "arguments": arguments}
            draft = Draft(begun, target)
            draft.close_with(row, {"message": str(message or "failed")})
            self._add_made(draft, row)

    def _tool_since_llm(self, above: Draft | None, name: str) -> Draft | None:
        """The last call of a tool in a span, if no model was asked since."""
        for child in reversed([d for d in self.drafts if d.above is None] if above is None else list(_shown(above))):
            if child.kind == "llm":
                return None
            if child.kind == "tool" and child.values.get("name") == name:
                return child
        return None


_PLAN_STARTS = ("plan_step_started", "step_observation_started")
_LOST_CALLS = frozenset({"tool_selection_error", "tool_validate_input_error", "tool_failure_detected"})


def _shown(draft: Draft) -> Iterator[Draft]:
    """The children, with those of hidden ones in their place."""
    for child in draft.children:
        if child.hidden:
            yield from _shown(child)
        else:
            yield child


def _still_running(above: Draft | None) -> Draft | None:
    """A scope that a raising run left open is nobody's parent once something around it has ended."""
    while above is not None and not (above.kind == BACKGROUND and above.open):
        if not above.open:
            above = above.above
        elif above.over is not None:
            above = above.over.above
        else:
            break
    return above


def _within_plan(draft: Draft, shown: Draft | None) -> bool:
    """Whether a plan's item lies in another item of what is shown."""
    above = draft.above
    return above is not None and above.kind == "planning" and above.above is not None and above.above.visible() is shown


def _is_part_of(row: Row, shown: Draft) -> bool:
    """Whether a start tells of a part of what its parent already is: the MCP client's side of an agent's tool call, or
    an evaluation that crewAI announces twice.
    """
    if row.type == "mcp_tool_execution_started":
        return shown.row.type == "tool_usage_started"
    return row.type == shown.row.type == "agent_evaluation_started" and _same_ids(shown.row, row)


def _same_ids(one: Row, other: Row) -> bool:
    return all(one.identifiers.get(name) == other.identifiers.get(name) for name in ("agent_id", "task_id"))


def _was_of(orphan: Draft, end: Row) -> bool:
    """Whether a span without a parent belongs to the run that an end without a start ends."""
    if end.rule.kind == "flow":
        return orphan.kind == "method" and orphan.row.source == end.source
    return end.rule.kind == "crew" and orphan.kind == "task" and orphan.row.parent_id == end.start_id


def _contradicts(start: Row, end: Row) -> bool:
    """Whether an end says that it is of another call, task, agent or method than a start."""
    return any(
        name not in _LOOSE and start.identifiers.get(name, value) != value for name, value in end.identifiers.items()
    )
