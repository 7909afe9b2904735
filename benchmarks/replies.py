"""CPU that a scripted reply takes beyond what crewAI itself spends on any answer of a model."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import BaseLLM, llm_call_context

from benchmarks.measure import Cpu, Spread, Table, interleave, paired, verdict
from benchmarks.runs import in_a_context_of_its_own
from pytest_crewai_trace.replay.script import Script
from pytest_crewai_trace.replay.seam import Seam

MOST_ADDED = 200.0  # us a reply
CALLS = 50
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


class Least(BaseLLM):
    """Does what each of crewAI's providers does around a request, and no request."""

    def call(self, messages: Any, *args: Any, **options: Any) -> str:
        with llm_call_context():
            self._emit_call_started_event(messages=messages)
            formatted = self._format_messages(messages)
            self._invoke_before_llm_call_hooks(formatted)
            self._track_token_usage_internal(USAGE)
            self._emit_call_completed_event("text", LLMCallType.LLM_CALL, messages=formatted, usage=USAGE)
            return self._invoke_after_llm_call_hooks(formatted, "text")


def table(rounds: int) -> Table:
    made = Table(
        f"A scripted reply, us; at most {MOST_ADDED:.0f} beyond crewAI's own",
        ("messages", "crewAI alone", "scripted", "added", f"at most {MOST_ADDED:.0f}"),
        "crewAI alone: events, hooks and tokens of a call, without any answer to find.",
    )
    for length in (2, 20, 200):
        messages = [{"role": "user", "content": "a message of some words " * 20}] * length
        taken = interleave(rounds, {"alone": _case(_alone, messages), "scripted": _case(_scripted, messages)})
        alone, scripted = (Spread.of([cpu.seconds / CALLS for cpu in taken[name]]) for name in ("alone", "scripted"))
        added = paired(operator.sub, taken["scripted"], taken["alone"]) / CALLS * 1e6
        made.add(length, alone.show(1e6), scripted.show(1e6), f"{added:,.0f}", verdict(added, MOST_ADDED))
    return made


def _case(ask: Callable[[Any], Cpu], messages: Any) -> Callable[[], Cpu]:
    return lambda: in_a_context_of_its_own(lambda: ask(messages))


def _alone(messages: Any) -> Cpu:
    llm = Least(model="gpt-4o")
    with Cpu() as cpu:
        for _ in range(CALLS):
            llm.call(messages)
    return cpu


def _scripted(messages: Any) -> Cpu:
    from crewai import LLM

    seam, script = Seam(), Script()
    seam.start()
    seam.use_script(script)
    try:
        for _ in range(CALLS):
            script.reply("text")
        llm = LLM(model="gpt-4o")
        with Cpu() as cpu:
            for _ in range(CALLS):
                llm.call(messages)
    finally:
        seam.stop()
    return cpu
