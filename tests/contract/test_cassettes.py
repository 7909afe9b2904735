"""Cassettes of every provider that crewAI reaches over HTTP: what was recorded is replayed without a connection."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import httpx
import pytest
import requests
from crewai import LLM, Crew

from pytest_crewai_trace.trace.redact import Redactor
from tests.support.cassettes import recording, replaying
from tests.support.crews import agent, one_agent_crew, search, task
from tests.support.openai import Answer, Failure, ToolRequest
from tests.support.providers import ProviderServer

PACKAGES = {
    "anthropic": "anthropic",
    "gemini": "google.genai",
    "bedrock": "boto3",
    "azure": "azure.ai",
    "litellm": "litellm",
}
KINDS = ["chat", "responses", "anthropic", "gemini", "bedrock", "azure", "ollama", "litellm"]


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AZURE_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.setenv(name, "a-key-that-is-none")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")


def needs(kind, how="sync"):
    package = PACKAGES.get(kind)
    try:
        there = package is None or find_spec(package) is not None
    except ModuleNotFoundError:
        there = False
    if not there or (kind == "bedrock" and how == "async" and find_spec("aiobotocore") is None):
        pytest.skip(f"not installed: {package}")


def model(kind, url, monkeypatch, **options):
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    if kind == "azure":
        return LLM(model="azure/gpt-4o", endpoint=f"{url}/openai/deployments/gpt-4o", api_key="a" * 40, **options)
    if kind == "litellm":
        return LLM(model="mistral/mistral-small", is_litellm=True, api_base=f"{url}/v1", api_key="a" * 40, **options)
    names = {
        "chat": "openai/gpt-4o-mini",
        "responses": "openai/gpt-4o-mini",
        "anthropic": "anthropic/claude-sonnet-4-20250514",
        "gemini": "gemini/gemini-2.0-flash",
        "bedrock": "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0",
        "ollama": "ollama/llama3",
    }
    if kind == "responses":
        options["api"] = "responses"
    if kind in ("chat", "responses", "ollama"):
        options["base_url"] = f"{url}/v1"
    if kind == "anthropic":
        options["base_url"] = url
    return LLM(model=names[kind], **options)


def ask(llm, how, text):
    return llm.call(text) if how == "sync" else asyncio.run(llm.acall(text))


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_provider(kind, stream, how, tmp_path, monkeypatch):
    needs(kind, how)
    path = tmp_path / "one.yaml"
    with ProviderServer(lambda text: Answer("Zürich, “yes”\n\nand no."), packed=True) as server:
        with recording(path):
            first = ask(model(kind, server.url, monkeypatch, stream=stream), how, "One question")
        asked = len(server.requests)
    assert first == "Zürich, “yes”\n\nand no."

    with replaying(path) as tape:
        again = ask(model(kind, server.url, monkeypatch, stream=stream), how, "One question")

    assert again == first
    assert asked == len(server.requests) == tape.played == len(tape.play.calls)


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("kind", ["chat", "anthropic", "gemini"])
def test_tool_calls(kind, stream, how, tmp_path, monkeypatch, crewai_trace):
    needs(kind)
    path = tmp_path / "one.yaml"

    def answer(text):
        return Answer("done") if "results for" in text else ToolRequest((("search", {"query": "AI"}),))

    def run(url):
        crew = one_agent_crew(model(kind, url, monkeypatch, stream=stream), tools=[search])
        inputs = {"topic": "AI"}
        return (crew.kickoff(inputs=inputs) if how == "sync" else asyncio.run(crew.akickoff(inputs=inputs))).raw

    with ProviderServer(answer) as server:
        with recording(path):
            assert run(server.url) == "done"
        asked = len(server.requests)
    with replaying(path) as tape:
        assert run(server.url) == "done"

    assert asked == len(server.requests) == tape.played
    recorded, replayed = crewai_trace.crews
    assert recorded.render() == replayed.render()
    assert recorded.tools.names == ["search"]


@pytest.mark.parametrize("kind", ["chat", "anthropic"])
def test_errors_are_replayed_as_they_came(kind, tmp_path, monkeypatch):
    needs(kind)
    path = tmp_path / "one.yaml"
    replies = [Failure(429, "slow down"), Answer("done"), Failure(500, "broken"), Failure(500, "broken")]
    # The client asks again after what the header says, recorded or replayed.
    with ProviderServer(lambda text: replies.pop(0), headers={"retry-after-ms": "1"}) as server:

        def run():
            told = [model(kind, server.url, monkeypatch, max_retries=1).call("One")]
            with pytest.raises(Exception, match="broken") as failed:
                model(kind, server.url, monkeypatch, max_retries=1).call("Two")
            return [*told, type(failed.value), str(failed.value)]

        with recording(path):
            first = run()
    with replaying(path) as tape:
        assert run() == first
    assert tape.played == len(server.requests) == 4


def test_http_of_tools(tmp_path):
    path = tmp_path / "one.yaml"
    aiohttp = pytest.importorskip("aiohttp")

    async def fetch(url):
        async with aiohttp.ClientSession() as session, session.get(url) as page:
            return await page.text()

    async def fetch_httpx(url):
        async with httpx.AsyncClient() as client:
            return (await client.get(url)).text

    def pages(url):
        with httpx.stream("GET", f"{url}/streamed") as streamed:
            lines = list(streamed.iter_lines())
        return [
            requests.get(f"{url}/requests?a=1&b=2").text,
            httpx.get(f"{url}/httpx").text,
            asyncio.run(fetch_httpx(f"{url}/httpx-async")),
            asyncio.run(fetch(f"{url}/aiohttp")),
            lines,
            requests.post(f"{url}/v1/chat/completions", json={"model": "m"}).json()["id"],
        ]

    with ProviderServer(lambda text: Answer("x"), packed=True) as server, recording(path):
        first = pages(server.url)
    with replaying(path) as tape:
        assert pages(server.url) == first
    assert len(server.requests) == tape.played == 6


def test_what_runs_at_once_is_recorded_whole(tmp_path):
    """vcrpy puts all connections back for a moment when one library sends; others would go past it."""
    path = tmp_path / "one.yaml"

    def fetch(url):
        return (requests if "requests" in url else httpx).get(url).text

    with ProviderServer(lambda text: Answer("x")) as server:
        urls = [f"{server.url}/{'requests' if number % 2 else 'httpx'}/{number}" for number in range(100)]
        with recording(path) as tape, ThreadPoolExecutor(16) as pool:
            first = list(pool.map(fetch, urls))
        assert len(tape.new) == len(server.requests) == 100
    with replaying(path), ThreadPoolExecutor(16) as pool:
        assert list(pool.map(fetch, urls)) == first


def test_fifty_chats_in_reverse_order_give_fifty_right_answers(tmp_path, monkeypatch):
    path = tmp_path / "one.yaml"
    with ProviderServer(lambda text: Answer(f"answer to {text[text.index('chat') :][:7]}")) as server:
        llm = model("chat", server.url, monkeypatch)
        with recording(path):
            first = [llm.call(f"chat {number:02}") for number in range(50)]
    with replaying(path):
        again = [llm.call(f"chat {number:02}") for number in reversed(range(50))]

    assert again == first[::-1] == [f"answer to chat {number:02}" for number in reversed(range(50))]


def test_twenty_parallel_agents_each_get_their_own_replies(tmp_path, monkeypatch, crewai_trace):
    """``nox -s repeat`` does it fifty times."""
    path = tmp_path / "one.yaml"
    runs = int(os.environ.get("CREWAI_TRACE_RUNS", "4"))

    def answer(text):
        name = text[text.index("You are R") :][8:11]
        return Answer(f"{name} is done") if "results for" in text else ToolRequest((("search", {"query": name}),))

    async def all_of_them(crews):
        return await asyncio.gather(*(crew.akickoff() for crew in crews))

    def run(number):
        llm = model("chat", server.url, monkeypatch)
        people = [agent(f"R{number:02}", llm, tools=[search]) for number in range(20)]
        crews = [Crew(agents=[one], tasks=[task("Look for it", one, name="look")]) for one in people]
        random.Random(number).shuffle(crews)
        return sorted(output.raw for output in asyncio.run(all_of_them(crews)))

    with ProviderServer(answer) as server:
        with recording(path):
            first = run(0)
        assert first == [f"R{number:02} is done" for number in range(20)]
        asked = len(server.requests)
        for number in range(1, runs):
            with replaying(path) as tape:
                assert run(number) == first
            assert tape.played == asked == len(server.requests)
    trees = [sorted(crew.render() for crew in crewai_trace.crews[20 * n : 20 * n + 20]) for n in range(runs)]
    assert len(crewai_trace.crews) == 20 * runs
    assert all(tree == trees[0] for tree in trees)


CANARIES = {
    "OPENAI_API_KEY": "sk-proj-Zk3canary0penai7Qw8Er9Ty0Ui1Op2As3Df4Gh5Jk6",
    "ANTHROPIC_API_KEY": "sk-ant-api03-canaryAnthropic1Qw2Er3Ty4Ui5Op6-AA",
    "GEMINI_API_KEY": "AIzaSyCanaryG00gle123456789012345678901",
    "AWS_SECRET_ACCESS_KEY": "canaryAwsSecret/K7MDENG+bPxRfiCYzzzzzz12",
    "AZURE_API_KEY": "c0ffee00canary00azure00key00value0012345",
    "GITHUB_TOKEN": "ghp_canaryGithub1234567890abcdefghijkl",
    "SLACK_TOKEN": "xoxb-123456789012-canarySlackToken12345",
    "PASSWORD": "canary-pass-word-9876",
}


def test_s63_canaries_are_in_no_cassette(tmp_path, monkeypatch):
    """S63, S64: in headers, the query, URL user info, bodies plain, gzip and base64, of requests and of replies."""
    path = tmp_path / "one.yaml"
    everything = " ".join(CANARIES.values())
    inner = base64.b64encode(everything.encode()).decode()
    answer = Answer(f"The keys are {everything}, packed {inner}, in JSON {json.dumps(json.dumps({'k': everything}))}")

    def run(url):
        for stream in (False, True):
            model("chat", url, monkeypatch, stream=stream).call(f"My keys: {everything} and {inner}")
        headers = {"Authorization": f"Bearer {CANARIES['OPENAI_API_KEY']}", "Cookie": f"session={CANARIES['PASSWORD']}"}
        for key in CANARIES.values():
            requests.get(
                f"{url}/page", params={"key": key, "api_key": key, "q": key}, headers={**headers, "X-Api-Key": key}
            )
            requests.post(
                f"{url}/v1/chat/completions", json={"model": "m", "password": key, "text": json.dumps({"token": key})}
            )
        requests.get(url.replace("http://", f"http://user:{CANARIES['PASSWORD']}@"))
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": everything}]}).encode()
        requests.post(f"{url}/v1/chat/completions", data=gzip.compress(body), headers={"Content-Encoding": "gzip"})

    with ProviderServer(
        lambda text: answer,
        packed=True,
        headers={"Set-Cookie": f"session={CANARIES['PASSWORD']}", "X-Auth-Token": CANARIES["AZURE_API_KEY"]},
    ) as server:
        redactor = Redactor(secrets={value: name for name, value in CANARIES.items()})
        with recording(path, redactor=redactor):
            run(server.url)
        with replaying(path, redactor=redactor) as tape:
            run(server.url)

    text = path.read_text("utf-8")
    for key in CANARIES.values():
        assert key not in text
        assert base64.b64encode(key.encode()).decode()[4:-4] not in text
    assert inner not in text
    assert tape.played == len(tape.play.calls)


def test_a_mismatch_in_a_bare_thread_is_an_answer_that_nobody_retries(tmp_path, monkeypatch):
    path = tmp_path / "one.yaml"
    with ProviderServer(lambda text: Answer("x")) as server:
        with recording(path):
            model("chat", server.url, monkeypatch).call("One")
        seen = []

        def call():
            try:
                model("chat", server.url, monkeypatch).call("Two")
            except Exception as error:
                seen.append(str(error))

        with replaying(path) as tape:
            thread = threading.Thread(target=call)
            thread.start()
            thread.join()
    assert len(tape.problems) == 1
    assert "no recorded reply" in seen[0]
