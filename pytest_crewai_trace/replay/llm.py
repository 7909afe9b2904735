"""A model without a provider: what crewAI gets instead of ``LLM(...)`` while a script is in use."""

from __future__ import annotations

import asyncio
from typing import Any

from crewai.llms.base_llm import BaseLLM
from pydantic import PrivateAttr

from pytest_crewai_trace.errors import ScriptError
from pytest_crewai_trace.replay import seam
from pytest_crewai_trace.replay.answer import Call, tokens_of

_CONTEXT_WINDOW = 128_000
# The names that crewAI's ``LLM`` gives to its providers; other prefixes stay in the name of the model.
_ALIASES = {"claude": "anthropic", "google": "gemini", "azure_openai": "azure", "aws": "bedrock"}


class ScriptedLLM(BaseLLM):
    """Answers from the script of the running test, whichever that is."""

    _failure: Exception | None = PrivateAttr(default=None)

    def __init__(self, model: str, **options: Any) -> None:
        options.pop("is_litellm", None)
        provider, _, name = model.partition("/") if "/" in model else ("", "", model)
        if provider and not options.get("provider"):
            options["provider"] = _ALIASES.get(provider, provider)
            model = name
        elif not options.get("provider"):
            options["provider"] = _provider_of(model)
        super().__init__(model=model, **{key: value for key, value in options.items() if value is not None})

    def failing(self, failure: Exception) -> ScriptedLLM:
        """This model, which raises when no script is in use: the real one could not be built."""
        self._failure = failure
        return self

    def __getattr__(self, name: str) -> Any:
        """Settings of a provider that ``BaseLLM`` does not know, such as ``reasoning_effort``."""
        try:
            return super().__getattr__(name)  # type: ignore[misc]  # pydantic has it where it has private attributes
        except AttributeError:
            options = self.__dict__.get("additional_params") or {}
            if name in options:
                return options[name]
            raise

    def supports_function_calling(self) -> bool:
        """As the script says; a model that nobody says anything of does."""
        script = seam.script()
        return script is None or script.function_calling is not False

    def get_context_window_size(self) -> int:
        return _CONTEXT_WINDOW

    def get_input_tokens_count(self, messages: Any, tools: Any = None, response_model: Any = None) -> int:
        return tokens_of([{"content": messages}] if isinstance(messages, str) else messages)

    def supports_multimodal(self) -> bool:
        return True

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> ScriptedLLM:
        return self.model_copy()  # a script is asked by whatever copy

    def call(
        self,
        messages: Any,
        tools: Any = None,
        callbacks: Any = None,
        available_functions: Any = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: Any = None,
    ) -> Any:
        call = Call(messages, tools, callbacks, available_functions, from_task, from_agent, response_model)
        return seam.answer(self, call, self._without_script)

    async def acall(
        self,
        messages: Any,
        tools: Any = None,
        callbacks: Any = None,
        available_functions: Any = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: Any = None,
    ) -> Any:
        await asyncio.sleep(0)  # as with a real model, other tasks go on while this one waits
        call = Call(messages, tools, callbacks, available_functions, from_task, from_agent, response_model)
        return seam.answer(self, call, self._without_script)

    def _without_script(self) -> Any:
        if self._failure is not None:
            raise self._failure
        raise ScriptError(
            f"the LLM {self.model!r} was built by a test with crewai_llm and is used without it; "
            "build its agent or crew anew, or let this test ask for crewai_llm too"
        )


def _provider_of(model: str) -> str:
    """As crewAI's ``LLM`` infers it from a bare name."""
    for prefix, provider in (("claude", "anthropic"), ("anthropic.", "bedrock"), ("gemini", "gemini")):
        if model.startswith(prefix):
            return provider
    return "openai"
