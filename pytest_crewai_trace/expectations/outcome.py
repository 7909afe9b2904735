"""How it ended: success, failure, errors, recoveries, guardrails, the cache, the limit of iterations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from pytest_crewai_trace.errors import plural
from pytest_crewai_trace.expectations import given
from pytest_crewai_trace.expectations.handover import text_of
from pytest_crewai_trace.expectations.message import Mismatch, hide
from pytest_crewai_trace.expectations.scope import Scope, error_of, listed, name_of, near, numbers_of, spans_shown
from pytest_crewai_trace.expectations.shown import short
from pytest_crewai_trace.trace.query import column
from pytest_crewai_trace.trace.render import failing, printable

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.span import AgentSpan, AnySpan, GuardrailSpan, LLMSpan

__tracebackhide__ = hide

# With this crewAI asks for an answer when an agent has used up its iterations (its ``force_final_answer``).
FORCED_ANSWER = "Now it's time you MUST give your absolute best final answer"


def _tops(scope: Scope) -> Sequence[AnySpan]:
    return scope.tree.children_of(None) if scope.span is None else [scope.span]


def _state(span: AnySpan) -> str:
    """How a span that did not succeed stands."""
    if span.status == "error":
        return f"{name_of(span)} failed: {error_of(span)}"
    if getattr(span, "paused", False):
        return f"{name_of(span)} is paused, waiting for a person"
    return f"{name_of(span)} did not end" if span.open else f"{name_of(span)} is {span.status}"


def _failures(scope: Scope) -> list[AnySpan]:
    """The spans where trouble began: those that failed and hold no other that failed."""
    tree = scope.tree
    return [tree.spans[i] for i in failing(tree) if scope.root in (None, i) or tree.is_inside(i, scope.root or 0)]


def _cause(scope: Scope, top: AnySpan) -> AnySpan | None:
    """Where the failure of a run began: what failed last inside of it, and took everything around it along."""
    tree, best = scope.tree, None
    for span in _failures(scope):
        above = span
        while above.id != top.id and above.parent_id is not None and (above.status == "error" or above.open):
            above = tree.spans[above.parent_id]
        if above.id == top.id and (best is None or _when(span) >= _when(best)):
            best = span
    return best


def _when(span: AnySpan) -> float:
    return math.inf if span.end is None else span.end


def check_succeed(scope: Scope) -> Mismatch | None:
    """Whether every run ended, and well; what failed inside and was survived does not count."""
    bad = [span for span in _tops(scope) if span.status != "ok"]
    if not bad:
        return None
    known = {span.id for span in bad}
    began = [cause for span in bad if (cause := _cause(scope, span)) is not None and cause.id not in known]
    return Mismatch(
        f"{'the run' if scope.span is None else name_of(scope.span)} to succeed",
        _state(bad[0]),
        nearest=f"trouble began here: {spans_shown(began[:1])}" if began else "",
        advice="See the span that is marked; its error has the traceback: .error.traceback."
        if began or bad[0].status == "error"
        else "See what it was doing last.",
        spans=(*numbers_of(began), *numbers_of(bad)),
    )


def check_fail(scope: Scope, with_: given.ErrorLike = True) -> Mismatch | None:
    """Whether a run failed, and with this error."""
    wanted = given.an_error("with_", with_)
    causes = {span.id: _cause(scope, span) for span in _tops(scope) if span.status != "ok"}
    # An exception may leave a run without an end.
    failed = [span for span in _tops(scope) if span.status == "error" or causes.get(span.id) is not None]
    what = "the run" if scope.span is None else name_of(scope.span)
    expected = f"{what} to fail" + ("" if with_ is True else f" with {wanted}")
    if not failed:
        survived = _failures(scope)
        return Mismatch(
            expected,
            "it succeeded" if all(span.status == "ok" for span in _tops(scope)) else _state(_tops(scope)[-1]),
            nearest=f"survived: {spans_shown(survived)}" if survived else "",
            advice="An error that was survived is no failed run: see to_recover_from, or find(status='error')."
            if survived
            else "See whether the test brings the failure about, and who caught it.",
            spans=numbers_of(survived) or numbers_of(_tops(scope)),
        )
    began = [cause for span in failed if (cause := causes[span.id]) is not None and cause.id != span.id]
    errors = [span for span in (*failed, *began) if span.status == "error"]
    if any(wanted.is_like(span.error) for span in errors):
        return None
    return Mismatch(
        expected,
        f"it failed with {error_of(errors[0])}",
        advice="with_ takes the exception's class, or a regular expression for 'Type: message'.",
        spans=numbers_of(errors),
    )


def check_have_no_errors(scope: Scope) -> Mismatch | None:
    """Whether nothing failed, not even what was survived, such as a tool whose error the model was told."""
    if "error" not in column(scope.spans(), "status"):
        return None
    failed = _failures(scope)
    ended = [span for span in _tops(scope) if span.status == "error"]
    return Mismatch(
        f"no errors{scope.where}",
        f"{name_of(failed[0]) if len(failed) == 1 else f'{len(failed)} spans'} failed"
        + ("" if ended else ", and the run went on as if nothing had happened"),
        nearest=spans_shown(failed),
        advice="See what the model made of the error, after the span that is marked."
        if len(failed) == 1
        else "Each span in which trouble began is marked.",
        spans=numbers_of(failed),
    )


def check_recover_from(scope: Scope, error: given.ErrorLike) -> Mismatch | None:
    """Whether what failed with this error was tried again, and then succeeded."""
    wanted = given.an_error("to_recover_from", error)
    expected = f"a recovery from {wanted}{scope.where}"
    failed = [span for span in _failures(scope) if wanted.is_like(span.error)]
    if not failed:
        others = _failures(scope)
        return Mismatch(
            expected,
            f"nothing failed{scope.where}" if not others else "nothing failed so",
            nearest=f"what failed: {spans_shown(others)}" if others else "",
            advice="Without the error there is nothing to recover from: see whether the test brings it about.",
            spans=numbers_of(others) or scope.marks,
        )
    last: dict[tuple[str, str, str | None], AnySpan] = {}
    for span in scope.spans():
        if span.status == "ok":
            last[span.kind, span.name, span.agent_role] = span
    for span in failed:
        again = last.get((span.kind, span.name, span.agent_role))
        if again is None or again.id < span.id:
            tries = [
                one for one in failed if (one.kind, one.name, one.agent_role) == (span.kind, span.name, span.agent_role)
            ]
            return Mismatch(
                expected,
                f"{name_of(span)} failed {given.often(len(tries))} and did not succeed after that",
                nearest=spans_shown(tries),
                advice="See what came after the last attempt, which is marked."
                if len(tries) > 1
                else "It was not tried again: see what came after it.",
                spans=numbers_of(tries),
            )
    return None


def check_pass_guardrail(
    scope: Scope, name: str | None = None, *, attempts: int | None = None, at_most: int | None = None
) -> Mismatch | None:
    """Whether a guardrail said yes in the end, and at which attempt."""
    name = given.a_name_or_none("to_pass_guardrail", name)
    for what, value in (("attempts", attempts), ("at_most", at_most)):
        if value is not None:
            given.a_whole_number(what, value, 1)
    if attempts is not None and at_most is not None:
        raise TypeError("attempts= is exact: give either attempts= or at_most=")
    checks = [span for span in scope.spans("guardrail") if name is None or span.name == name]
    wanted = "" if attempts is None else f" at attempt {attempts}"
    wanted += "" if at_most is None else f" within {plural(at_most, 'attempt')}"
    expected = f"{'every guardrail' if name is None else f'guardrail {name!r}'} to pass{wanted}{scope.where}"
    if not checks:
        names = scope.spans("guardrail").names
        return Mismatch(
            expected,
            f"no guardrail {'' if name is None else repr(name) + ' '}checked anything{near(name or '', names)}",
            nearest=f"guardrails: {listed(names)}",
            advice="Give the task its guardrail=.",
            spans=scope.marks,
        )
    series: dict[tuple[int | None, str], list[GuardrailSpan]] = {}
    for span in checks:
        series.setdefault((span.parent_id, span.name), []).append(span)
    for tried in series.values():
        count, passed = tried[-1].attempt, tried[-1].success is True
        if passed and (attempts is None or count == attempts) and (at_most is None or count <= at_most):
            continue
        refused = [span for span in tried if span.success is not True]
        return Mismatch(
            expected,
            f"{name_of(tried[-1])} {'passed at' if passed else 'did not pass at'} attempt {count}",
            nearest=f"it said: {short(refused[-1].feedback)}" if refused else "",
            advice="Each verdict is marked.",
            spans=numbers_of(tried),
        )
    return None


def check_hit_cache(scope: Scope, name: str, times: given.Times) -> Mismatch | None:
    """Whether calls of a tool were answered from crewAI's cache."""
    name = given.a_name("to_hit_cache", name)
    calls = scope.tools_named(name)
    cached = [call for call in calls if call.cached]
    if len(cached) in times:
        return None
    expected = f"{printable(name)} to be answered from the cache{times}{scope.where}"
    if not calls:
        names = scope.tools_at_hand()
        return Mismatch(
            expected,
            f"it was never called{near(name, names)}",
            nearest=f"tools called{scope.where}: {listed(scope.spans('tool').names)}",
            advice=f"tools of this trace: {listed(names)}",
            spans=scope.marks,
        )
    return Mismatch(
        expected,
        f"it was called {given.often(len(calls))}, and answered from the cache {given.often(len(cached))}",
        nearest=f"its calls: {spans_shown(calls)}",
        advice="The cache answers the same tool with the same arguments again; the crew needs cache=True.",
        spans=numbers_of(calls),
    )


def check_finish_before_max_iter(scope: Scope, agent: str | None = None) -> Mismatch | None:
    """Whether agents came to an answer by themselves, before crewAI made them give one."""
    agent = given.a_name_or_none("agent", agent)
    expected = f"{'every agent' if agent is None else repr(agent)} to finish before its max_iter{scope.where}"
    agents = [span for span in scope.spans("agent") if agent is None or span.name == agent]
    if not agents:
        names = scope.everywhere("agent").names
        return Mismatch(
            expected,
            f"no agent {'' if agent is None else repr(agent) + ' '}was at work{scope.where}{near(agent or '', names)}",
            advice=f"agents of this trace: {listed(names)}",
            spans=scope.marks,
        )
    looked_at = {span.id for span in agents}
    forced = next((call for call in scope.spans("llm") if call.parent_id in looked_at and _is_forced(call)), None)
    if forced is not None:
        worker = cast("AgentSpan", scope.tree.spans[forced.parent_id])
        limit = "its limit" if worker.max_iter is None else f"max_iter={worker.max_iter}"
        return Mismatch(
            expected,
            f"{worker.name!r} reached {limit}: crewAI then made it answer",
            nearest=f"the answer it was made to give: {short(forced.response)}",
            advice="See which calls took it so long; give it a better task, or a higher max_iter.",
            spans=(worker.id, forced.id),
        )
    unfinished = next((span for span in agents if span.open), None)
    if unfinished is not None:
        return Mismatch(expected, _state(unfinished), advice="See what it was doing last.", spans=(unfinished.id,))
    return None


def _is_forced(call: LLMSpan) -> bool:
    """Whether a call is the one with which crewAI asks for a final answer."""
    messages = call.messages
    if messages.tail:
        return FORCED_ANSWER in text_of(messages.tail[-1])
    return len(messages) > 0 and FORCED_ANSWER in text_of(messages[-1])
