"""Gives a reply as a model gives it: events, hooks, tokens, and the form that the caller expects.

What is called of ``BaseLLM`` here is what each of crewAI's own providers calls of it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import BaseLLM, llm_call_context
from pydantic import BaseModel, ValidationError

from pytest_crewai_trace.errors import problems_of
from pytest_crewai_trace.replay.callers import agent_at_work
from pytest_crewai_trace.replay.housekeeping import purpose_of
from pytest_crewai_trace.replay.reply import Reply, Request, content_of, unraised
from pytest_crewai_trace.replay.script import answerable
from pytest_crewai_trace.replay.tool_arguments import misfit

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.values import ToolCall

_COMPLETED_TAKES = frozenset(inspect.signature(BaseLLM._emit_call_completed_event).parameters)
_CHARACTERS_PER_TOKEN = 4  # crewAI's own estimate


@dataclass(frozen=True)
class Call:
    """The arguments of ``BaseLLM.call``."""

    messages: Any
    tools: Any = None
    callbacks: Any = None
    available_functions: Any = None
    from_task: Any = None
    from_agent: Any = None
    response_model: Any = None

    @property
    def who(self) -> dict[str, Any]:
        return {"from_task": self.from_task, "from_agent": self.from_agent}


# Gives the reply to a request; makes the error of a reply that does not fit.
Choose = Callable[[Request], Reply]
Complain = Callable[[str], BaseException]


def request_of(llm: BaseLLM, call: Call) -> Request:
    """A call as a test sees it."""
    purpose, task = purpose_of(call), call.from_task
    agent = call.from_agent or getattr(task, "agent", None)
    if agent is None and purpose is None:
        agent = agent_at_work()
    role = getattr(agent, "role", None)
    tools = tuple(str(tool["function"]["name"]) for tool in call.tools or () if _is_schema(tool))
    return Request(
        number=0,
        model=llm.model,
        messages=_messages(call.messages),
        agent=role.strip() if isinstance(role, str) else None,
        task=getattr(task, "name", None) or getattr(task, "description", None),
        tools=tools
        or tuple(tool.name for tool in getattr(getattr(agent, "agent_executor", None), "tools", None) or ()),
        response_model=call.response_model,
        purpose=purpose,
        source=call,
    )


def _is_schema(tool: Any) -> bool:
    return isinstance(tool, Mapping) and isinstance(tool.get("function"), Mapping)


def _messages(messages: Any) -> list[dict[str, Any]]:
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    return list(messages)  # the list grows; crewAI's messages in it stay as they are


def perform(llm: BaseLLM, call: Call, choose: Choose, complain: Complain) -> Any:
    """Answer a call with the reply that ``choose`` gives; ``complain`` makes the error of one that does not fit."""
    wanted = getattr(llm, "response_format", None)
    if isinstance(wanted, type) and call.response_model is None and not call.tools:
        call = replace(call, response_model=wanted)
    with llm_call_context():
        llm._emit_call_started_event(
            messages=call.messages,
            tools=call.tools,
            callbacks=call.callbacks,
            available_functions=call.available_functions,
            **call.who,
        )
        try:
            messages = llm._format_messages(call.messages)
            if llm._invoke_before_llm_call_hooks(messages, call.from_agent) is False:
                raise ValueError("LLM call blocked by before_llm_call hook")
            request = request_of(llm, call)
            reply = choose(request)
            if callable(reply.content):
                reply = _called(reply, request, complain)
            _tell_fault(llm, reply)
            if reply.error is not None:
                raise unraised(reply.error)
            _check(reply, request, call, complain)
            return _Answer(llm, call, messages, reply, complain).give()
        except BaseException as error:
            llm._emit_call_failed_event(error=str(error), **call.who)
            raise


def _called(reply: Reply, request: Request, complain: Complain) -> Reply:
    try:
        content = reply.content(request)
    except Exception as error:  # else crewAI takes it for an error of the model, and asks again
        raise complain(
            f"the function that replies to {request.who} raised {type(error).__name__}: {error}; "
            "a model that fails is .fail(...)"
        ) from error
    try:
        return replace(reply, content=answerable(content))
    except TypeError:
        raise complain(f"the function that replies to {request.who} returned {content!r}, which is no answer") from None


def _tell_fault(llm: BaseLLM, reply: Reply) -> None:
    if reply.fault is not None:
        from pytest_crewai_trace.replay.injected import tell

        tell(llm, reply.fault)


def _check(reply: Reply, request: Request, call: Call, complain: Complain) -> None:
    if reply.fault is not None or not reply.checked:
        return
    if len(reply.tool_calls) > 1 and not call.tools:
        raise complain(
            f"the script has {request.who} call {reply} at once, but its model calls no functions here: as ReAct text "
            "it can ask for one tool at a time, with a .call_tool(...) for each"
        )
    for wanted in reply.tool_calls:
        problem = misfit(wanted, call)
        if problem is not None:
            raise complain(f"the script has {request.who} call {Reply(tool_calls=(wanted,))}, but {problem}")


class _Answer:
    """One reply on its way to the caller."""

    def __init__(self, llm: BaseLLM, call: Call, messages: list[Any], reply: Reply, complain: Complain) -> None:
        self.llm, self.call, self.messages, self.reply, self.complain = llm, call, messages, reply, complain

    def give(self) -> Any:
        if self.reply.thinking is not None:
            self.llm._emit_thinking_chunk_event(chunk=self.reply.thinking, **self.call.who)
        if self.reply.tool_calls:
            return self._tool_calls() if self.call.tools else self._text(self._react())
        if self.call.response_model is not None and self.reply.content != "":
            return self._structured(self.call.response_model)
        content = self.reply.content
        return self._text(content if isinstance(content, str) else _as_json(content))

    def _text(self, text: str) -> str:
        chunks = self.reply.chunks or (_words(text) if _streams(self.llm) else ())
        for chunk in chunks:
            self.llm._emit_stream_chunk_event(chunk=chunk, call_type=LLMCallType.LLM_CALL, **self.call.who)
        self._complete(text, LLMCallType.LLM_CALL, text)
        return str(self.llm._invoke_after_llm_call_hooks(self.messages, text, self.call.from_agent))

    def _structured(self, model: type[BaseModel]) -> BaseModel:
        value = self._fit(model)
        content = self.reply.content
        text = content if isinstance(content, str) else value.model_dump_json()
        self._complete(text, LLMCallType.LLM_CALL, text)
        return value

    def _fit(self, model: type[BaseModel]) -> BaseModel:
        content = self.reply.content
        if isinstance(content, model):
            return content
        try:
            if isinstance(content, str):
                return model.model_validate_json(content)
            return model.model_validate(content.model_dump() if isinstance(content, BaseModel) else content)
        except ValidationError as error:
            if self.reply.fault is not None:
                raise
            why = "; ".join(problems_of(error)[:3])
            raise self.complain(
                f"the reply {self.reply} does not fit {model.__name__}, which is asked for: {why}; "
                f"give .reply({model.__name__}({', '.join(f'{name}=...' for name in model.model_fields)}))"
            ) from None

    def _tool_calls(self) -> Any:
        calls = [
            {
                "id": f"call_{number}_{call.name}",
                "type": "function",
                "function": {"name": call.name, "arguments": self._arguments(call)},
            }
            for number, call in enumerate(self.reply.tool_calls, start=1)
        ]
        if not self.call.available_functions:
            self._stream_calls(calls)
            self._complete(calls, LLMCallType.TOOL_CALL, json.dumps(calls))
            return calls
        # A caller that gives its functions wants the result, as crewAI's reasoning does; the first call counts.
        first = self.reply.tool_calls[0]
        if first.name not in self.call.available_functions:
            return self._text("")
        self.llm._track_token_usage_internal(self._usage(json.dumps(calls)))
        result = self.llm._handle_tool_execution(
            first.name, dict(first.arguments), self.call.available_functions, **self.call.who
        )
        return result or ""

    def _stream_calls(self, calls: list[dict[str, Any]]) -> None:
        if not _streams(self.llm):
            return
        for index, call in enumerate(calls):
            self.llm._emit_stream_chunk_event(
                chunk=call["function"]["arguments"],
                tool_call={**call, "index": index},
                call_type=LLMCallType.TOOL_CALL,
                **self.call.who,
            )

    def _react(self) -> str:
        """A tool call as the text that crewAI's ReAct prompt asks for; it allows for one at a time."""
        call = self.reply.tool_calls[0]
        return f"Thought: I need {call.name}.\nAction: {call.name}\nAction Input: {self._arguments(call)}"

    def _arguments(self, call: ToolCall) -> str:
        return str(self.reply.content) if self.reply.fault is not None else json.dumps(call.arguments)

    def _complete(self, response: Any, call_type: LLMCallType, text: str) -> None:
        usage = self._usage(text)
        self.llm._track_token_usage_internal(usage)
        reason = self.reply.finish_reason or ("tool_calls" if call_type is LLMCallType.TOOL_CALL else "stop")
        who_and_more: dict[str, Any] = dict(self.call.who)
        if "finish_reason" in _COMPLETED_TAKES:
            who_and_more["finish_reason"] = reason
        self.llm._emit_call_completed_event(
            response=response, call_type=call_type, messages=self.messages, usage=usage, **who_and_more
        )

    def _usage(self, text: str) -> dict[str, int]:
        """In the names that crewAI's OpenAI provider reports."""
        given = self.reply.usage or {}
        said = given.get("output_tokens", _tokens(len(text)) + _tokens(len(self.reply.thinking or "")))
        asked = given.get("input_tokens")
        if asked is None:
            asked = tokens_of(self.messages)
        usage = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
        for name, crewais in (
            ("cached_tokens", "cached_prompt_tokens"),
            ("cache_write_tokens", "cache_creation_tokens"),
            ("reasoning_tokens", "reasoning_tokens"),
        ):
            if name in given:
                usage[crewais] = given[name]
        return usage


def tokens_of(messages: Sequence[Mapping[str, Any]]) -> int:
    """An estimate of the tokens in a conversation."""
    contents = [message.get("content") for message in messages]
    plain = sum(len(content) for content in contents if type(content) is str)
    parts = (content_of({"content": content}) for content in contents if type(content) is not str)
    return _tokens(plain + sum(map(len, parts)))


def _tokens(characters: int) -> int:
    return -(-characters // _CHARACTERS_PER_TOKEN)


def _streams(llm: BaseLLM) -> bool:
    effective = getattr(llm, "_effective_stream", None)
    return bool(getattr(llm, "stream", False) if effective is None else effective())


def _words(text: str) -> Sequence[str]:
    return [word + " " for word in text.split(" ")[:-1]] + [text.rpartition(" ")[2]]


def _as_json(content: Any) -> str:
    return content.model_dump_json() if isinstance(content, BaseModel) else json.dumps(content)
