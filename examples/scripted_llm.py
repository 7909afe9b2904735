"""A model that answers from a script, so that the examples need no key and no network."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import BaseLLM, llm_call_context
from pydantic import PrivateAttr

INPUT_TOKENS = 100
OUTPUT_TOKENS = 20


def tool_call(name: str, **arguments: Any) -> list[dict[str, Any]]:
    """A reply in which the model asks for one tool call."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return [{"id": f"call_{name}", "type": "function", "function": function}]


class ScriptedLLM(BaseLLM):
    """Gives each agent, by its role, its own replies in order: a text, a ``tool_call()`` or an exception to raise.

    Every call counts 100 input and 20 output tokens.
    """

    _script: dict[str, list[Any]] = PrivateAttr()
    _role: str = PrivateAttr(default="")

    def __init__(self, script: Mapping[str, Sequence[Any]], *, model: str = "gpt-4o-mini") -> None:
        super().__init__(model=model)
        self._script = {role: list(replies) for role, replies in script.items()}

    def supports_function_calling(self) -> bool:
        return True

    def call(
        self,
        messages: Any,
        tools: Any = None,
        *args: Any,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: Any = None,
        **options: Any,
    ) -> Any:
        from_agent = from_agent or getattr(from_task, "agent", None)
        who = {"from_task": from_task, "from_agent": from_agent}
        with llm_call_context():
            self._emit_call_started_event(messages=messages, tools=tools, **who)
            try:
                reply = self._next_reply(from_agent)
                if isinstance(reply, Exception):
                    raise reply
            except Exception as error:
                self._emit_call_failed_event(error=str(error), **who)
                raise
            usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS}
            usage["total_tokens"] = INPUT_TOKENS + OUTPUT_TOKENS
            self._track_token_usage_internal(usage)
            call_type = LLMCallType.TOOL_CALL if isinstance(reply, list) else LLMCallType.LLM_CALL
            self._emit_call_completed_event(response=reply, call_type=call_type, messages=messages, usage=usage, **who)
        if response_model is not None and isinstance(reply, str):
            return self._validate_structured_output(reply, response_model)
        return reply

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)  # As with a real model, other tasks go on while this one waits.
        return self.call(*args, **kwargs)

    def _next_reply(self, agent: Any) -> Any:
        # At an agent's max_iter crewAI asks for an answer without saying whose.
        role = self._role = self._role if agent is None else agent.role.strip()
        replies = self._script.get(role)
        if not replies:
            raise AssertionError(f"The script has no reply left for {role!r}; it has {self._script}")
        return replies.pop(0)
