"""The rest of what crewAI asks providers for: embeddings, and structured answers by way of ``instructor``."""

from __future__ import annotations

import functools
import math
import re
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_crewai_trace.replay.patches import Patches

_SIZE = 256


def place(patches: Patches) -> None:
    """Replace them until ``patches.undo()``."""
    from chromadb.utils.embedding_functions import openai_embedding_function
    from crewai.rag.embeddings import factory
    from crewai.utilities.internal_instructor import InternalInstructor

    # ``build_embedder`` itself is imported by name elsewhere; what it calls is not.
    for name in ("build_embedder_from_dict", "build_embedder_from_provider"):
        patches.replace(factory, name, lambda original: _build_embedder)
    patches.replace(openai_embedding_function, "OpenAIEmbeddingFunction", lambda original: _build_embedder)
    patches.replace(InternalInstructor, "__init__", _init_instructor)
    patches.replace(InternalInstructor, "to_pydantic", _ask_model)


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Vectors of length one that count words: texts that share words are near each other, always the same."""
    vectors = []
    for text in texts:
        vector = [0.0] * _SIZE
        for word in re.findall(r"\w+", text.casefold()):
            vector[zlib.crc32(word.encode("utf-8", "replace")) % _SIZE] += 1.0
        length = math.sqrt(sum(value * value for value in vector)) or 1.0
        vectors.append([value / length for value in vector])
    return vectors


def _build_embedder(*args: Any, **kwargs: Any) -> Any:
    return _embedding_class()()


@functools.cache
def _embedding_class() -> type:
    import numpy
    from chromadb.api.types import EmbeddingFunction

    class OfflineEmbedding(EmbeddingFunction[Any]):
        """``embed`` in the form that chromadb asks for."""

        def __init__(self) -> None:
            pass

        def __call__(self, input: Any) -> Any:  # noqa: A002 - chromadb calls it so
            return [numpy.array(vector, dtype=numpy.float32) for vector in embed(input)]

        @staticmethod
        def name() -> str:
            return "crewai_trace_offline"

        @staticmethod
        def build_from_config(config: dict[str, Any]) -> OfflineEmbedding:
            return OfflineEmbedding()

        def get_config(self) -> dict[str, Any]:
            return {}

    return OfflineEmbedding


def _init_instructor(original: Any) -> Any:
    @functools.wraps(original)
    def __init__(instructor: Any, content: str, model: type, agent: Any = None, llm: Any = None) -> None:  # noqa: N807
        instructor.content, instructor.model, instructor.agent = content, model, agent
        instructor.llm = llm or (agent.function_calling_llm or agent.llm if agent else None)

    return __init__


def _ask_model(original: Any) -> Any:
    @functools.wraps(original)
    def to_pydantic(instructor: Any) -> Any:
        question = [{"role": "user", "content": instructor.content}]
        return instructor.llm.call(question, from_agent=instructor.agent, response_model=instructor.model)

    return to_pydantic
