"""No network: whoever asks for it is told at once, whichever client they use, and nobody tries again."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import aiohttp
import httpx
import pytest
import requests
import urllib3
from crewai import LLM
from openai import AsyncOpenAI, OpenAI

from pytest_crewai_trace.errors import NetworkBlockedError
from pytest_crewai_trace.replay.network import NetworkBlock

MESSAGES = [{"role": "user", "content": "hi"}]
HOSTS = ["example.com", "192.0.2.1"]


@pytest.fixture
def block(monkeypatch):
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    block = NetworkBlock("no network here", "Do not.")
    block.start()
    yield block
    block.stop()


def failure_of(client, url):
    """What a client raises; of a group, as anyio makes them of what goes wrong while it connects, the one error."""
    try:
        client(url)
    except BaseException as error:
        while hasattr(error, "exceptions"):
            (error,) = error.exceptions
        return error


def openai_sync(url):
    OpenAI(api_key="x", base_url=url).chat.completions.create(model="m", messages=MESSAGES)


def openai_async(url):
    asyncio.run(AsyncOpenAI(api_key="x", base_url=url).chat.completions.create(model="m", messages=MESSAGES))


def crewai_sync(url):
    LLM(model="openai/gpt-4o", api_key="x", base_url=url).call("hi")


def crewai_async(url):
    asyncio.run(LLM(model="openai/gpt-4o", api_key="x", base_url=url).acall("hi"))


def litellm_sync(url):
    import litellm

    litellm.completion("openai/gpt-4o", MESSAGES, api_key="x", base_url=url, num_retries=3)


def litellm_async(url):
    import litellm

    asyncio.run(litellm.acompletion("openai/gpt-4o", MESSAGES, api_key="x", base_url=url, num_retries=3))


def requests_with_retries(url):
    session = requests.Session()
    session.mount("https://", requests.adapters.HTTPAdapter(max_retries=urllib3.Retry(5, backoff_factor=1)))
    session.get(url)


def urllib3_with_retries(url):
    urllib3.PoolManager(retries=urllib3.Retry(5, backoff_factor=1)).request("GET", url)


def httpx_with_retries(url):
    httpx.Client(transport=httpx.HTTPTransport(retries=5)).get(url)


def httpx_async(url):
    async def get():
        async with httpx.AsyncClient() as client:
            await client.get(url)

    asyncio.run(get())


def aiohttp_client(url):
    async def get():
        async with aiohttp.ClientSession() as session:
            await session.get(url)

    asyncio.run(get())


def botocore(url):
    import boto3

    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    boto3.client("bedrock-runtime", endpoint_url=url, **keys).converse(
        modelId="m", messages=[{"role": "user", "content": [{"text": "hi"}]}]
    )


def anthropic(url):
    from anthropic import Anthropic

    Anthropic(api_key="x", base_url=url).messages.create(model="m", messages=MESSAGES, max_tokens=9)


PACKAGES = {litellm_sync: "litellm", litellm_async: "litellm", botocore: "boto3", anthropic: "anthropic"}
CLIENTS = [
    openai_sync,
    openai_async,
    crewai_sync,
    crewai_async,
    requests_with_retries,
    urllib3_with_retries,
    httpx_with_retries,
    httpx_async,
    aiohttp_client,
    *PACKAGES,
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_no_client_tries_again(client, host, block):
    """Each of these waits for seconds, or asks again, when a connection fails by itself."""
    if find_spec(PACKAGES.get(client, "openai")) is None:
        pytest.skip(f"not installed: {PACKAGES[client]}")

    error = failure_of(client, f"https://{host}/v1")

    assert type(error) is NetworkBlockedError
    assert str(error).startswith(f"no network here, but a connection was tried to {host}:443, by ")
    assert len(block.attempts) == 1


def test_a_bare_thread_is_told_as_of_any_network(block):
    """What is no ``Exception`` would end it unseen, and leave whoever waits for its result waiting."""
    seen = []

    def ask():
        try:
            requests.get("https://example.com")
        except Exception as error:
            seen.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()

    assert "a connection was tried to example.com:443" in seen[0]
    assert len(block.attempts) == 1


def test_a_pool_brings_it_to_who_waits(block):
    with ThreadPoolExecutor(1) as pool, pytest.raises(NetworkBlockedError):
        pool.submit(httpx.get, "https://example.com").result()
