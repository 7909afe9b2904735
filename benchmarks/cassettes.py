"""Cassettes: a request and its reply through OpenAI's client, and loading, beside vcrpy, a hash look-up and JSON."""

from __future__ import annotations

import json
import random
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import vcr
from openai import OpenAI

from benchmarks.measure import Case, Cpu, Ratio, Spread, Table, interleave, seconds
from pytest_crewai_trace.replay.body import Body
from pytest_crewai_trace.replay.cassette import Call, Reply, Request, load, save
from pytest_crewai_trace.replay.matching import Index, Volatile, key_of, sent_key_of
from pytest_crewai_trace.replay.player import playing
from pytest_crewai_trace.replay.tape import Tape
from pytest_crewai_trace.trace.redact import Redactor

SIZES = (10, 100, 1_000)
_ASKED = 50  # requests a round
ORDERS = ("as recorded", "backwards", "random")
MOST_ADDED = 0.1  # ms a call, beside the SDK's own
MOST_OF_VCR = 1 / 10  # of loading
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
            sent = sent_key_of("POST", URL, _sent(question))
            calls.append(Call(key_of(request), f"Researcher {number % 20}", "research", request, reply, sent=sent))
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


def _sent(question: Question) -> bytes:
    """What the client sends."""
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return httpx.Response(200, headers=_JSON, json=_answer(0, ""))

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        OpenAI(api_key="x", http_client=client).chat.completions.create(**question)
    return sent[0]


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
        ("calls", "order", "hash look-up, ms", "ours, ms", "added, ms", "vcrpy, ms"),
        "A chat of about 9 kB through OpenAI's client. The look-up is a dict behind the same client, which is what the"
        " SDK itself takes; vcrpy matches the body. Added: between the quickest rounds, as if nothing else ran on the"
        " machine.",
    )
    # All take turns: how quick the machine is changes from one second to the next.
    cases: dict[str, Case] = {}
    for size, cassettes in made.items():
        for order in ORDERS:
            times = _ASKED // min(size, _ASKED)
            cases[f"look-up {size} {order}"] = partial(_repeated, _look_up, cassettes, times, order)
            cases[f"ours {size} {order}"] = partial(_repeated, _ours, cassettes, times, order)
    taken = {name: [cpu.seconds / _ASKED for cpu in cpus] for name, cpus in interleave(rounds, cases).items()}
    added, apart, vcrs = [], [], []
    for size, cassettes in made.items():
        for order in ORDERS:
            ours, look_up = taken[f"ours {size} {order}"], taken[f"look-up {size} {order}"]
            shown = ""
            if order == "random":
                vcrs.append(_vcrs(cassettes).seconds / min(size, 10) * 1e3)
                shown = f"{vcrs[-1]:.1f}"
            added.append((min(ours) - min(look_up)) * 1e3)
            apart.append(Ratio.of(ours, look_up).apart)
            spreads = (Spread.of(one).show(1000, 2) for one in (look_up, ours))
            table.add(size, order, *spreads, f"{added[-1]:.3f}", shown)
    table.promise(
        "cassette of 10 / 100 / 1,000 calls: a call, in any order",
        f"{statistics.median(added):+.2f} ms; by size and order {min(added):+.2f} to {max(added):+.2f}",
        f"vcrpy with body matching {' / '.join(f'{one:.0f}' for one in vcrs)} ms; the SDK itself {table.rows[0][2]} ms",
        f"at most {MOST_ADDED} ms beside the SDK's own",
        met=statistics.median(added) <= MOST_ADDED,
        apart=max(apart),
    )
    return table


def _repeated(ask: Callable[[Cassettes, str], Cpu], cassettes: Cassettes, times: int, order: str) -> Cpu:
    """As many requests of a small cassette as of a large one."""
    whole = Cpu()
    whole.seconds = sum(ask(cassettes, order).seconds for _ in range(times))
    return whole


def _ask(cassettes: Cassettes, client: OpenAI, order: str = "random", most: int = _ASKED) -> Cpu:
    asked = list(enumerate(cassettes.questions))
    if order == "random":
        random.Random(1).shuffle(asked)
    elif order == "backwards":
        asked.reverse()
    with Cpu() as cpu:
        for number, question in asked[:most]:
            reply = client.chat.completions.create(**question)
            assert reply.choices[0].message.content.startswith(f"answer {number}\n")
    return cpu


def _look_up(cassettes: Cassettes, order: str) -> Cpu:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=_JSON, content=cassettes.replies[_key(request.content)])

    client = httpx.Client(transport=httpx.MockTransport(answer))
    return _ask(cassettes, OpenAI(api_key="x", http_client=client), order)


_JSON = {"content-type": "application/json"}


def _ours(cassettes: Cassettes, order: str) -> Cpu:
    tape = Tape(
        play=None,
        record=False,
        redactor=Redactor(),
        who=lambda: (None, None),
        detached=lambda: False,
        explain=lambda request, who, number: "no reply",
    )
    tape.play = Index(load(cassettes.ours).calls, Volatile(), tape.clean)
    with playing(cassettes.ours, tape):
        return _ask(cassettes, OpenAI(api_key="x"), order)


def _vcrs(cassettes: Cassettes) -> Cpu:
    matching = ["method", "uri", "body"]
    with vcr.VCR(match_on=matching, record_mode=vcr.mode.NONE).use_cassette(str(cassettes.vcrs)):
        return _ask(cassettes, OpenAI(api_key="x"), most=10)


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
    taken = interleave(rounds, {name: partial(_timed, way) for name, (way, _) in ways.items()})
    for name, (_, path) in ways.items():
        spread = Spread.of([cpu.seconds for cpu in taken[name]])
        table.add(name, spread.show(1000, 1), f"{path.stat().st_size / 1e6:.1f}")
    ratio = Ratio.of(seconds(taken["ours"]), seconds(taken["vcrpy"]))
    table.promise(
        "cassette of 1,000 calls: load",
        f"{table.rows[1][1]} ms",
        f"vcrpy {table.rows[3][1]} ms",
        "at most 1/10 of vcrpy's",
        met=ratio.median <= MOST_OF_VCR,
        apart=ratio.apart,
    )
    return table


def _timed(way: Callable[[], object]) -> Cpu:
    with Cpu() as cpu:
        way()
    return cpu
