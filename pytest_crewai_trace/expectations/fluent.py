"""``expect(trace).to_...``: what a test says. Each call checks at once and gives the expectation back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.errors import plural, unknown_choice
from pytest_crewai_trace.expectations import calls, given, handover, llm, loops, outcome, output, path, tools
from pytest_crewai_trace.expectations.limits import Limits, check_stay_within
from pytest_crewai_trace.expectations.message import Mismatch, hide
from pytest_crewai_trace.expectations.parameters import says_what_it_takes
from pytest_crewai_trace.expectations.scope import Scope
from pytest_crewai_trace.expectations.shown import short
from pytest_crewai_trace.expectations.together import Collected, report
from pytest_crewai_trace.trace.query import SpanList
from pytest_crewai_trace.trace.span import Span
from pytest_crewai_trace.trace.trace import Trace

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.values import ToolCall

__tracebackhide__ = hide


@says_what_it_takes
class Expectation:
    """What is expected of a trace, or of one span and what is inside it.

    Every method checks at once and returns the expectation, so that calls can be chained.

    Raises:
        TraceAssertionError: it does not hold, or nothing can be concluded: the trace is empty or incomplete.
        TypeError, ValueError: a mistake in the arguments.
    """

    __slots__ = ("_subject",)

    def __init__(self, subject: Trace | Span) -> None:
        if not isinstance(subject, Trace | Span):
            what = short(subject)
            if isinstance(subject, SpanList):
                many = plural(len(subject), "span")
                raise TypeError(f"expect() takes a trace or one span, not a list of {many}: take .one() or .first")
            raise TypeError(f"expect() takes a trace or a span of it, not {what}: write expect(crewai_trace)")
        self._subject = subject

    def __repr__(self) -> str:
        return f"expect({self._subject!r})"

    if not TYPE_CHECKING:  # who checks types is told by them

        def __getattr__(self, name: str) -> Any:
            valid = [known for known in dir(type(self)) if known.startswith(("to_", "not_to_"))]
            raise AttributeError(unknown_choice("expectation", name, valid))

    def _check(self, check: Callable[[Scope], Mismatch | None]) -> Expectation:
        scope = Scope(self._subject)
        why = scope.unusable
        if why:
            empty = not scope.tree.spans
            advice = (
                "Run the crew, flow or agent in the test before. To say that nothing runs: assert crewai_trace.empty."
                if empty
                else "Nothing may be concluded from a trace that lacks something."
            )
            mismatch: Mismatch | None = Mismatch("a trace to look at", why, advice=advice)
        else:
            mismatch = check(scope)
        if mismatch is not None:
            report(mismatch, scope.tree)
        return self

    # -- tools --------------------------------------------------------------------------------------------------------

    def to_call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | Callable[[dict[str, Any]], Any] | Any = None,
        *,
        partial: bool = False,
        times: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
        by: str | None = None,
        in_task: str | None = None,
        result: Any = given.UNSET,
        error: given.ErrorLike | None = None,
    ) -> Expectation:
        """A tool is called: with these ``arguments`` (a dict, a matcher, or a callable that is given them all).

        Values in a dict may be matchers, compiled regular expressions or callables; with ``partial`` the call may have
        more arguments. Without ``times``, ``at_least`` or ``at_most`` one such call will do. ``error``: ``True``,
        ``False``, an exception class or a regular expression for ``Type: message``.
        """
        wanted = tools.Wanted(
            name, arguments=arguments, partial=partial, by=by, in_task=in_task, result=result, error=error
        )
        often = given.a_count(times, at_least, at_most, never=f"not_to_call_tool({wanted.name!r})")
        return self._check(lambda scope: tools.check_call_tool(scope, wanted, often))

    def not_to_call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | Callable[[dict[str, Any]], Any] | Any = None,
        *,
        partial: bool = False,
        by: str | None = None,
        in_task: str | None = None,
        unknown_ok: bool = False,
    ) -> Expectation:
        """A tool is not called (so). Fails for a tool, agent or task that the trace does not know, unless
        ``unknown_ok``.
        """
        wanted = tools.Wanted(name, arguments=arguments, partial=partial, by=by, in_task=in_task)
        given.a_flag("unknown_ok", unknown_ok)
        return self._check(lambda scope: tools.check_not_call_tool(scope, wanted, unknown_ok=unknown_ok))

    def to_call_tools(
        self,
        expected: Sequence[str | ToolCall],
        order: calls.Order = "exact",
        *,
        allow_extra: bool | None = None,
        partial: bool = False,
        overrides: Mapping[str, calls.Compare] | None = None,
    ) -> Expectation:
        """The tool calls are these: names, or ``ToolCall`` of which only what is set is compared.

        ``order``: ``exact`` (no other call), ``in_order`` (others may stand in between), ``any_order`` (no other call);
        ``allow_extra`` says otherwise. ``overrides`` compares the arguments of single tools: ``{"search": "partial"}``,
        ``"exact"``, ``"ignore"``, or a callable of the expected and the actual arguments.
        """
        wanted = calls.items(expected, partial=partial, overrides=overrides)
        return self._check(lambda scope: calls.check_call_tools(scope, wanted, order, allow_extra=allow_extra))

    # -- path ---------------------------------------------------------------------------------------------------------

    def to_follow(self, *names: path.Path) -> Expectation:
        """Agents, tasks and tools come in this order: next to each other, or with ``...`` for anything in between.

        Only what is of the same kinds as the names counts, so where no task is named, tasks do not stand in between.
        """
        return self._check(lambda scope: path.check_follow(scope, *names))

    def to_route(self, *names: path.Path) -> Expectation:
        """A flow's methods run, and its routers choose labels, in this order; ``...`` is anything in between."""
        return self._check(lambda scope: path.check_route(scope, *names))

    # -- hand-over ----------------------------------------------------------------------------------------------------

    def to_delegate(self, by: str, *, to: str) -> Expectation:
        """One agent hands work, or a question, to another with crewAI's delegation tools, and that one works on it."""
        return self._check(lambda scope: handover.check_delegate(scope, by, to))

    def to_use_output_of(self, name: str) -> Expectation:
        """What an earlier task (or agent, method, crew) came to stands in a later prompt."""
        return self._check(lambda scope: handover.check_use_output_of(scope, name))

    def to_use_tool_result(self, name: str) -> Expectation:
        """What a tool gave, each time that it gave something, stands in the agent's next LLM call."""
        return self._check(lambda scope: handover.check_use_tool_result(scope, name))

    # -- LLM ----------------------------------------------------------------------------------------------------------

    def to_call_llm(
        self,
        model: str | None = None,
        *,
        times: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
        by: str | None = None,
        in_task: str | None = None,
    ) -> Expectation:
        """A model is called; it goes by its name, with or without its provider (``openai/gpt-4o-mini``)."""
        often = given.a_count(times, at_least, at_most, never="not_to_call_llm()")
        return self._check(lambda scope: llm.check_call_llm(scope, often, model=model, by=by, in_task=in_task))

    def not_to_call_llm(
        self,
        model: str | None = None,
        *,
        by: str | None = None,
        in_task: str | None = None,
        unknown_ok: bool = False,
    ) -> Expectation:
        """No model, or not this one, is called. Fails for names that the trace does not know, unless ``unknown_ok``."""
        return self._check(
            lambda scope: llm.check_not_call_llm(scope, model=model, by=by, in_task=in_task, unknown_ok=unknown_ok)
        )

    def to_say(self, text: given.Text, *, by: str | None = None, in_task: str | None = None) -> Expectation:
        """A model's answer, or the output of an agent, task, crew or flow, has a text.

        ``text`` stands in it as it is; a compiled regular expression is found in it; a callable is true for it.
        """
        return self._check(lambda scope: llm.check_say(scope, text, by=by, in_task=in_task))

    def not_to_say(
        self, text: given.Text, *, by: str | None = None, in_task: str | None = None, unknown_ok: bool = False
    ) -> Expectation:
        """No answer and no output has a text. Fails where nothing was said at all, unless ``unknown_ok``."""
        return self._check(lambda scope: llm.check_not_say(scope, text, by=by, in_task=in_task, unknown_ok=unknown_ok))

    def to_see(self, text: given.Text, *, by: str | None = None, in_task: str | None = None) -> Expectation:
        """A message that a model was sent has a text; ``by`` is the agent whose model it was."""
        return self._check(lambda scope: llm.check_see(scope, text, by=by, in_task=in_task))

    def not_to_see(
        self, text: given.Text, *, by: str | None = None, in_task: str | None = None, unknown_ok: bool = False
    ) -> Expectation:
        """No message that a model was sent has a text. Fails where no model was asked, unless ``unknown_ok``."""
        return self._check(lambda scope: llm.check_not_see(scope, text, by=by, in_task=in_task, unknown_ok=unknown_ok))

    # -- outcome ------------------------------------------------------------------------------------------------------

    def to_succeed(self) -> Expectation:
        """Every run ended, and well. What failed inside and was survived does not count."""
        return self._check(outcome.check_succeed)

    def to_fail(self, with_: given.ErrorLike = True) -> Expectation:
        """A run failed, with this exception class or regular expression for ``Type: message``."""
        return self._check(lambda scope: outcome.check_fail(scope, with_))

    def to_have_no_errors(self) -> Expectation:
        """Nothing failed, not even what was survived, such as a tool whose error only the model was told."""
        return self._check(outcome.check_have_no_errors)

    def to_recover_from(self, error: given.ErrorLike) -> Expectation:
        """What failed with this error was tried again, and then succeeded."""
        return self._check(lambda scope: outcome.check_recover_from(scope, error))

    def to_pass_guardrail(
        self, name: str | None = None, *, attempts: int | None = None, at_most: int | None = None
    ) -> Expectation:
        """A guardrail, or every one, said yes in the end: at attempt number ``attempts``, or ``at_most`` at that."""
        return self._check(lambda scope: outcome.check_pass_guardrail(scope, name, attempts=attempts, at_most=at_most))

    def to_hit_cache(
        self, tool: str, *, times: int | None = None, at_least: int | None = None, at_most: int | None = None
    ) -> Expectation:
        """Calls of a tool are answered from crewAI's cache."""
        often = given.a_count(times, at_least, at_most, never="assert not any(call.cached for call in trace.tools)")
        return self._check(lambda scope: outcome.check_hit_cache(scope, tool, often))

    def to_finish_before_max_iter(self, agent: str | None = None) -> Expectation:
        """An agent, or every one, came to its answer before crewAI made it give one at ``max_iter``."""
        return self._check(lambda scope: outcome.check_finish_before_max_iter(scope, agent))

    # -- limits, trouble, output --------------------------------------------------------------------------------------

    def to_stay_within(
        self,
        *,
        llm_calls: int | None = None,
        tool_calls: int | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        total_tokens: int | None = None,
        cost: str | float | Decimal | None = None,
        seconds: float | None = None,
    ) -> Expectation:
        """No more is used than this; ``cost`` is in US dollars. A number that is not known is within no limit."""
        limits = Limits.of(
            {
                "llm_calls": llm_calls,
                "tool_calls": tool_calls,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
                "total_tokens": total_tokens,
                "cost": cost,
                "seconds": seconds,
            }
        )
        return self._check(lambda scope: check_stay_within(scope, limits))

    def to_have_no_loops(self, *, repeats: int = 3) -> Expectation:
        """No agent makes the same call, or meets the same tool error, ``repeats`` times; none delegates in a ring."""
        return self._check(lambda scope: loops.check_have_no_loops(scope, repeats=repeats))

    def to_output(self, expected: Any, *, partial: bool = False) -> Expectation:
        """The output (of a trace: of its last run) is as expected.

        A pydantic class must accept it; data must equal it, matchers inside are fine, with ``partial`` it may have more
        keys; a text must equal it; a compiled regular expression be found in it; a callable be true for it.
        """
        return self._check(lambda scope: output.check_output(scope, expected, partial=partial))


class _Expect:
    """``expect(trace_or_span)``, and ``expect.all()`` for several expectations that are told together."""

    __slots__ = ()
    __name__ = "expect"

    def __call__(self, subject: Trace | Span) -> Expectation:
        return Expectation(subject)

    @staticmethod
    def all() -> AbstractContextManager[None]:
        """A block whose failed expectations are told together, at its end.

        Raises:
            TraceAssertionError: at the end of the block, with all of them.
        """
        return Collected()

    def __repr__(self) -> str:
        return "<expect>"


expect = _Expect()
