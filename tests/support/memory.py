"""Memory and knowledge without a network: an embedder that counts words, a model that answers memory's questions."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chromadb.api.types import EmbeddingFunction
from crewai.memory.unified_memory import Memory
from crewai.rag.embeddings.providers.custom.embedding_callable import CustomEmbeddingFunction

from tests.support.llm import ScriptedLLM

SIZE = 64


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Bag-of-words vectors of length one: texts that share words are near each other."""
    vectors = []
    for text in texts:
        vector = [0.0] * SIZE
        for word in text.lower().split():
            vector[zlib.crc32(word.strip(".,:;!?").encode()) % SIZE] += 1.0
        length = math.sqrt(sum(x * x for x in vector)) or 1.0
        vectors.append([x / length for x in vector])
    return vectors


class Down(Exception):
    """What a service raises that is down."""


def down(texts: Sequence[str]) -> list[list[float]]:
    raise Down("the embedder is down")


class WordEmbedding(CustomEmbeddingFunction, EmbeddingFunction[Any]):
    """``embed`` as the class that crewAI's ``custom`` embedding provider wants."""

    def __init__(self, **_: Any) -> None:
        pass

    def __call__(self, input: Any) -> Any:
        import numpy

        return [numpy.array(vector, dtype=numpy.float32) for vector in embed(input)]

    @staticmethod
    def name() -> str:
        return "words"

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> WordEmbedding:
        return WordEmbedding()

    def get_config(self) -> dict[str, Any]:
        return {}


EMBEDDER: dict[str, Any] = {"provider": "custom", "config": {"embedding_callable": WordEmbedding}}


def librarian(*facts: str) -> Callable[[list[dict[str, Any]]], str]:
    """How the model of a memory answers: it extracts ``facts`` from what it reads and files them under ``/notes``."""

    def answer(messages: list[dict[str, Any]]) -> str:
        question = messages[0]["content"]
        if "reusable memory statements" in question:
            return json.dumps({"memories": list(facts)})
        if "comparing new content" in question:
            return json.dumps({"actions": [], "insert_new": True})
        return json.dumps({"suggested_scope": "/notes"})

    return answer


def make_memory(folder: Path, *facts: str, embedder: Any = embed) -> Memory:
    llm = ScriptedLLM(librarian(*facts), model="openai/librarian", repeat_last=True)
    return Memory(llm=llm, embedder=embedder, storage=str(folder / "memory"))
