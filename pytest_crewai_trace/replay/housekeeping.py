"""What crewAI asks a model for itself, in nobody's name: for its memory and its knowledge. And modest answers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.replay.reply import content_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pytest_crewai_trace.replay.answer import Call

MEMORY, KNOWLEDGE = "memory", "knowledge"


def purpose_of(call: Call) -> str | None:
    """What crewAI asks for, if nobody else does."""
    if call.from_agent is not None or call.from_task is not None:
        return None
    if _memory_model(call) is not None:
        return MEMORY
    return KNOWLEDGE if _system_prompt(call) == _knowledge_prompts()[0] else None


def ready_made(call: Call, purpose: str | None) -> Any:
    """The answer without a script: memory keeps all as it is, in the root; knowledge is searched for what was asked."""
    if purpose == KNOWLEDGE:
        return _within(_knowledge_prompts()[1], "{task_prompt}", call)
    if purpose != MEMORY:
        return None
    wanted = _memory_model(call)
    fields = wanted.model_fields if wanted is not None else {}
    if "memories" in fields:
        return {"memories": [_within(_memory_prompts()[1], "{content}", call)]}
    return {"suggested_scope": "/"} if "suggested_scope" in fields else {}


def _memory_model(call: Call) -> type[BaseModel] | None:
    """What memory wants to be answered: it says so, but to a model that does not call functions."""
    wanted = call.response_model
    if wanted is not None:
        return wanted if wanted.__module__.startswith("crewai.memory.") else None
    return _memory_prompts()[0].get(_system_prompt(call))


def _system_prompt(call: Call) -> str:
    return content_of(call.messages[0]) if isinstance(call.messages, list) and len(call.messages) > 1 else ""


def _within(template: str, place: str, call: Call) -> str:
    """What stands in the place of crewAI's prompt."""
    before, _, after = template.partition(place)
    return content_of(call.messages[-1]).removeprefix(before).removesuffix(after)


@cache
def _memory_prompts() -> tuple[dict[str, type[BaseModel]], str]:
    """The answer that each system prompt wants, and the prompt to extract memories from."""
    from crewai.memory import analyze
    from crewai.utilities.i18n import get_i18n

    wanted = {
        "extract_memories_system": "ExtractedMemories",
        "query_system": "QueryAnalysis",
        "save_system": "MemoryAnalysis",
        "consolidation_system": "ConsolidationPlan",
    }
    prompts = get_i18n().memory
    return {prompts(key): getattr(analyze, name) for key, name in wanted.items()}, prompts("extract_memories_user")


@cache
def _knowledge_prompts() -> tuple[str, str]:
    from crewai.utilities.i18n import get_i18n

    prompts = get_i18n().slice
    return prompts("knowledge_search_query_system_prompt"), prompts("knowledge_search_query")
