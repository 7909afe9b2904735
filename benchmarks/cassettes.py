"""Cassettes: a request and its reply through OpenAI's client, and loading, beside vcrpy, a hash look-up and JSON."""

from __future__ import annotations

import gc
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import vcr
from openai import OpenAI

from benchmarks.measure import Cpu, Spread, Table, interleave, verdict
from pytest_crewai_trace.replay.body import Body
from pytest_crewai_trace.replay.cassette import Call, Reply, Request, load, save
from pytest_crewai_trace.replay.matching import Index, Volatile, key_of
from pytest_crewai_trace.replay.player import playing
from pytest_crewai_trace.replay.tape import Tape
from pytest_crewai_trace.trace.redact import Redactor

SIZES = (10, 100, 1_000)
_ASKED = 200  # requests a round
_VCRS = 10  # of vcrpy, which takes long
URL = "https://api.openai.com/v1/chat/completions"
_WORDS = ["Paris", "alpha:", "beta", "gamma,", "delta", "epsilon", "'zeta'", "eta.", "Theta", "(iota)", "kappa"]
Question = dict[str, Any]


def tables(*, rounds: int) -> list[Table]:
    with tempfile.TemporaryDirectory() as folder:
        made = {size: Cassettes(size, Path(folder)) for size in SIZES}
        return [_requests(made, rounds), _loading(made[SIZES[-1]], rounds)]


class Cassettes:
    """The same calls as a cassette of ours, of vcrpy's, and as a dict. A call is about 9 kB."""

    def __init__(self, size: int, folder: Path) -> None:
        self.random = random.Random(size)
        tools = [self._tool(number) for number in range(4)]
        self.questions = [self._question(number, tools) for number in range(size)]
        self.ours, self.vcrs = folder / f"ours-{size}.yaml", folder / f"vcr-{size}.yaml"
        self.as_json = folder / f"{size}.json"
        calls = []
        for number, question in enumerate(self.questions):
            request = Request("POST", URL, Body("json", question))
            reply = Reply(200, {"content-type": ("application/json",)}, Body("json", _answer(number, self._text(8))))
            calls.append(Call(key_of(request), f"Researcher {number % 20}", "research", request, reply))
        save(self.ours, calls, "test", "pytest test")
        documents = [{"request": call.request.document(), "reply": call.reply.document()} for call in calls]
        self.as_json.write_text(json.dumps(documents), "utf-8")
        self.replies = {_key(call.request.body.data): call.reply.body.data for call in calls if call.request.body}  # type: ignore[union-attr]
        recorded = vcr.cassette.Cassette(str(self.vcrs), record_mode=vcr.mode.ALL)
        for call in calls:
            body = {"string": call.reply.body.data}  # type: ignore[union-attr]
            headers = {"content-type": ["application/json"]}
            answered = {"status": {"code": 200, "message": "OK"}, "headers": headers, "body": body}
            asked = vcr.request.Request("POST", URL, call.request.body.data, {"content-type": "application/json"})  # type: ignore[union-attr]
            recorded.append(asked, answered)
        recorded._save(force=True)

    def _text(self, lines: int) -> str:
        return "\n".join(" ".join(self.random.choices(_WORDS, k=12)) for _ in range(lines))

    def _tool(self, number: int) -> dict[str, Any]:
        parameters = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
        function = {"name": f"search_{number}", "description": self._text(3), "parameters": parameters}
        return {"type": "function", "function": function}

    def _question(self, number: int, tools: list[dict[str, Any]]) -> Question:
        messages = [
            {"role": "system", "content": self._text(12)},
            {"role": "user", "content": f"{number}\n{self._text(60)}"},
        ]
        return {"model": "gpt-4o-mini", "messages": messages, "tools": tools}


def _key(body: bytes) -> bytes:
    return json.dumps(json.loads(body), sort_keys=True).encode()


def _answer(number: int, text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": f"answer {number}\n{text}"}
    usage = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    head = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}
    return {**head, "choices": choices, "usage": usage}


def _requests(made: dict[int, Cassettes], rounds: int) -> Table:
    table = Table(
        "Cassettes: a request",
        ("calls", "hash look-up, ms", "ours, ms", "of the look-up", "beyond it, ms", "at most 1.2", "vcrpy, ms"),
        "A chat of about 9 kB through OpenAI's client, in random order. The look-up is a dict behind the same client; "
        "vcrpy matches the body. Each request is made of both, one after the other: of the look-up, and beyond it, are "
        "the medians of these pairs.",
    )
    for size, cassettes in made.items():
        pairs = [pair for _ in range(rounds * max(1, _ASKED // size)) for pair in _pairs(cassettes)]
        look_up, ours = (Spread.of(seconds) for seconds in zip(*pairs, strict=True))
        ratio = statistics.median(ours / look_up for look_up, ours in pairs)
        beyond = statistics.median(ours - look_up for look_up, ours in pairs)
        vcrs = _vcrs(cassettes).seconds / min(size, _VCRS)
        cells = (f"{ratio:.2f}", f"{beyond * 1000:.2f}", verdict(ratio, 1.2), f"{vcrs * 1000:.1f}")
        table.add(size, look_up.show(1000, 2), ours.show(1000, 2), *cells)
    return table


def _pairs(cassettes: Cassettes) -> list[tuple[float, float]]:
    """CPU seconds of the same request from the look-up and from our cassette: under the same load, side by side."""
    tape = Tape(
        play=None,
        record=False,
        redactor=Redactor(),
        who=lambda: (None, None),
        detached=lambda: False,
        explain=lambda request, who, number: "no reply",
    )
    tape.play = Index(load(cassettes.ours).calls, Volatile(), tape.clean)
    pairs = []
    with playing(cassettes.ours, tape), _without_collections():
        clients = (OpenAI(api_key="x", http_client=httpx.Client(transport=_LookUp(cassettes))), OpenAI(api_key="x"))
        for place, (number, question) in enumerate(_shuffled(cassettes)[:_ASKED]):
            taken = [0.0, 0.0]
            for which in (0, 1) if place % 2 else (1, 0):
                began = time.process_time()
                _ask(clients[which], number, question)
                taken[which] = time.process_time() - began
            pairs.append((taken[0], taken[1]))
    return pairs


class _LookUp(httpx.BaseTransport):
    """A dict; of a class that vcrpy does not replace."""

    def __init__(self, cassettes: Cassettes) -> None:
        self._replies = cassettes.replies

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=_JSON, content=self._replies[_key(request.read())])


@contextmanager
def _without_collections() -> Iterator[None]:
    """The garbage collector would come to one of a pair."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _shuffled(cassettes: Cassettes) -> list[tuple[int, Question]]:
    order = list(enumerate(cassettes.questions))
    random.Random(1).shuffle(order)
    return order


def _ask(client: OpenAI, number: int, question: Question) -> None:
    reply = client.chat.completions.create(**question)
    assert reply.choices[0].message.content.startswith(f"answer {number}\n")


_JSON = {"content-type": "application/json"}


def _vcrs(cassettes: Cassettes) -> Cpu:
    matching = ["method", "uri", "body"]
    client = OpenAI(api_key="x")
    with vcr.VCR(match_on=matching, record_mode=vcr.mode.NONE).use_cassette(str(cassettes.vcrs)), Cpu() as cpu:
        for number, question in _shuffled(cassettes)[:_VCRS]:
            _ask(client, number, question)
    return cpu


def _loading(cassettes: Cassettes, rounds: int) -> Table:
    table = Table(
        "Cassettes: loading 1,000 calls",
        ("", "ms", "MB"),
        "JSON is the same data in one line. Ours reads a call when it is played; `all of it` has read each of them.",
    )
    ways: dict[str, tuple[Callable[[], object], Path]] = {
        "JSON": (lambda: json.loads(cassettes.as_json.read_text("utf-8")), cassettes.as_json),
        "ours": (lambda: load(cassettes.ours), cassettes.ours),
        "ours, all of it": (lambda: [call.request for call in load(cassettes.ours).calls], cassettes.ours),
        "vcrpy": (lambda: vcr.cassette.Cassette.load(path=str(cassettes.vcrs)), cassettes.vcrs),
    }
    taken = interleave(min(rounds, 3), {name: partial(_timed, way) for name, (way, _) in ways.items()})
    for name, (_, path) in ways.items():
        spread = Spread.of([cpu.seconds for cpu in taken[name]])
        table.add(name, spread.show(1000, 0), f"{path.stat().st_size / 1e6:.1f}")
    return table


def _timed(way: Callable[[], object]) -> Cpu:
    with Cpu() as cpu:
        way()
    return cpu
