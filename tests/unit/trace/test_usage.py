"""Tokens as each provider reports them, and what they cost."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from importlib.metadata import version
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from pytest_crewai_trace import Usage
from pytest_crewai_trace.trace.usage import cost_of_call
from tests.support.spans import span, trace

# What crewAI puts on LLMCallCompletedEvent.usage: provider, what it says, input, output, cached, written, reasoning.
REPORTS = [
    ("openai", {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}, (100, 20, 0, 0, 0)),
    (
        "openai, cached and reasoning",
        {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "cached_prompt_tokens": 64,
            "reasoning_tokens": 12,
        },
        (100, 20, 64, 0, 12),
    ),
    (
        "openai by litellm",
        {
            "completion_tokens": 20,
            "prompt_tokens": 100,
            "total_tokens": 120,
            "completion_tokens_details": {"reasoning_tokens": 12, "audio_tokens": None, "text_tokens": 8},
            "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 64},
        },
        (100, 20, 64, 0, 12),
    ),
    (
        "responses as OpenAI has them",
        {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 64},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 12},
            "total_tokens": 120,
        },
        (100, 20, 64, 0, 12),
    ),
    (
        "anthropic, crewAI 1.15.21 and later: the input includes the cache's",
        {
            "input_tokens": 100,
            "output_tokens": 20,
            "total_tokens": 120,
            "cached_prompt_tokens": 64,
            "cache_creation_tokens": 10,
        },
        (100, 20, 64, 10, 0),
    ),
    (
        "anthropic, crewAI before 1.15.21: it does not",
        {
            "input_tokens": 26,
            "output_tokens": 20,
            "total_tokens": 46,
            "cached_prompt_tokens": 64,
            "cache_creation_tokens": 10,
        },
        (100, 20, 64, 10, 0),
    ),
    (
        "anthropic as it has them",
        {"input_tokens": 90, "output_tokens": 20, "cache_read_input_tokens": 64, "cache_creation_input_tokens": 10},
        (164, 20, 64, 10, 0),
    ),
    (
        "anthropic by litellm: prompt_tokens includes the cache's",
        {
            "prompt_tokens": 164,
            "completion_tokens": 20,
            "cache_read_input_tokens": 64,
            "cache_creation_input_tokens": 10,
            "prompt_tokens_details": {"cached_tokens": 64},
        },
        (164, 20, 64, 10, 0),
    ),
    (
        "gemini",
        {
            "prompt_token_count": 100,
            "candidates_token_count": 8,
            "completion_tokens": 20,
            "total_token_count": 120,
            "total_tokens": 120,
            "cached_prompt_tokens": 64,
            "reasoning_tokens": 12,
        },
        (100, 20, 64, 0, 12),
    ),
    (
        "gemini, crewAI 1.13",
        {"prompt_token_count": 100, "candidates_token_count": 20, "total_tokens": 120, "cached_prompt_tokens": 0},
        (100, 20, 0, 0, 0),
    ),
    (
        "gemini as it has them",
        {
            "prompt_token_count": 100,
            "candidates_token_count": 8,
            "thoughts_token_count": 12,
            "cached_content_token_count": 64,
            "prompt_tokens_details": [{"modality": "TEXT", "token_count": 100}],
        },
        (100, 20, 64, 0, 12),
    ),
    ("bedrock", {"inputTokens": 100, "outputTokens": 20, "totalTokens": 120}, (100, 20, 0, 0, 0)),
    (
        "bedrock, cached",
        {
            "inputTokens": 26,
            "outputTokens": 20,
            "totalTokens": 120,
            "cacheReadInputTokens": 64,
            "cacheWriteInputTokens": 10,
            "cacheDetails": [{"ttl": "5m", "inputTokens": 10}],
        },
        (100, 20, 64, 10, 0),
    ),
    ("nothing but output", {"completion_tokens": 20}, (0, 20, 0, 0, 0)),
    (
        "an inner number of the same name",
        {"details": {"prompt_tokens": 7}, "prompt_tokens": 100, "more": {"prompt_tokens": 3}, "completion_tokens": 20},
        (100, 20, 0, 0, 0),
    ),
]


@pytest.mark.parametrize(("report", "expected"), [row[1:] for row in REPORTS], ids=[row[0] for row in REPORTS])
def test_a_report(report, expected):
    """Input includes the cached tokens, output the reasoning ones, whoever reports."""
    usage = Usage.of_call(report)

    numbers = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )
    assert numbers == expected
    assert usage.total_tokens == expected[0] + expected[1]
    assert (usage.requests, usage.unreported, usage.complete) == (1, 0, True)
    assert Usage.of_call(MappingProxyType(report)) == usage


@pytest.mark.parametrize(
    "report",
    [
        None,
        {},
        {"total_tokens": 0},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": None, "completion_tokens": None},
        {"prompt_tokens": -5},
        {"prompt_tokens": True},
        {"prompt_tokens": "100"},
        {"prompt_tokens": float("nan")},
        {"prompt_tokens": [100]},
        {"cached_tokens": 10},
        {"a": {"b": {"c": {"d": {"prompt_tokens": 5}}}}},
    ],
    ids=repr,
)
def test_an_answer_without_tokens_is_counted_as_unreported(report):
    """S78: never taken for zero."""
    usage = Usage.of_call(report)

    assert usage == Usage(requests=1, unreported=1)
    assert not usage.complete
    assert Usage.of_call(report, failed=True) == Usage(requests=1)


def test_a_report_that_contains_itself():
    """S59"""
    report = {"prompt_tokens": 5, "completion_tokens": 1}
    report["details"] = report

    assert Usage.of_call(report).total_tokens == 6


names = st.sampled_from([*sorted({name for _, report, _ in REPORTS for name in report}), "x"])
hostile = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=3),
)


@given(st.dictionaries(names | st.integers() | st.none(), hostile, max_size=5), st.booleans())
def test_any_report_gives_numbers(report, failed):
    """S59"""
    usage = Usage.of_call(report, failed=failed)

    assert all(type(number) is int and number >= 0 for number in usage.model_dump().values())
    assert usage.requests == 1
    assert cost_of_call("gpt-4o", usage) is None or cost_of_call("gpt-4o", usage) >= 0


def test_a_failed_call_may_have_used_tokens():
    assert Usage.of_call({"prompt_tokens": 5, "completion_tokens": 1}, failed=True).total_tokens == 6


usages = st.builds(Usage, **{name: st.integers(0, 10**6) for name in Usage.model_fields})


@given(st.lists(usages))
def test_a_total_is_the_sum_of_each_number(several):
    total = Usage.total(several)

    for name in Usage.model_fields:
        assert getattr(total, name) == sum(getattr(usage, name) for usage in several)


def test_usage_refuses_numbers_that_it_does_not_know():
    with pytest.raises(ValueError, match="Extra inputs"):
        Usage(prompt_tokens=5)
    with pytest.raises(ValueError, match="frozen"):
        Usage().requests = 5


def call(tokens: int | None, model: str = "gpt-4o-mini", **fields):
    reported = None if tokens is None else {"prompt_tokens": tokens, "completion_tokens": tokens}
    return span("llm", model, model=model, reported_usage=reported, **fields)


def test_usage_is_that_of_all_calls_inside():
    made = trace(
        span("crew", "c", span("task", "a", call(1), call(2)), span("task", "b", call(4), call(None))),
        call(8),
        span("crew", "none"),
    )

    assert made.usage == Usage(input_tokens=15, output_tokens=15, requests=5, unreported=1)
    assert made.task("a").usage == Usage(input_tokens=3, output_tokens=3, requests=2)
    assert made.task("b").usage.complete is False
    assert made.crew("c").usage.requests == 4
    assert made.crew("none").usage == Usage()
    assert made.llm_calls[2].usage == Usage(input_tokens=4, output_tokens=4, requests=1)


def test_usage_of_a_call_with_calls_inside_is_of_all_of_them():
    inner = call(2)
    outer = call(1)
    outer.inside = [inner]

    assert trace(outer).llm_calls.first.usage.total_tokens == 6
    assert trace(outer).llm_calls.first.call_usage.total_tokens == 2
    assert trace(outer).usage.total_tokens == 6


# -- cost ------------------------------------------------------------------------------------------------------------

TOKENS = Usage(input_tokens=1_000_000, output_tokens=1_000_000, requests=1)
AT = datetime(2025, 6, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("models", "price"),
    [
        (["gpt-4o-mini", "openai/gpt-4o-mini"], "0.75"),
        (["azure/gpt-4o-mini", "azure_openai/gpt-4o-mini"], "0.75"),
        (["anthropic/claude-3-5-haiku-20241022", "claude/claude-3-5-haiku-20241022"], "4.8"),
        (["gemini/gemini-2.0-flash", "google/gemini-2.0-flash", "vertex_ai/gemini-2.0-flash"], "0.5"),
        (["groq/llama-3.3-70b-versatile"], "1.38"),
        (["mistral/mistral-large-2411"], "8"),
        (["openrouter/openai/gpt-4o-mini"], "0.75"),
    ],
)
def test_the_price_of_a_model_under_the_names_that_crewai_gives_it(models, price):
    assert {cost_of_call(model, TOKENS, AT) for model in models} == {Decimal(price)}


@pytest.mark.skipif(Version(version("genai-prices")) < Version("0.1"), reason="it does not know all of them yet")
@pytest.mark.parametrize(
    "model",
    [
        "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0",
        "aws/us.anthropic.claude-3-5-sonnet-20241022-v2:0",
        "groq/meta-llama/llama-4-scout-17b-16e-instruct",
        "openrouter/anthropic/claude-3.5-sonnet",
        "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "xai/grok-3",
        "deepseek/deepseek-chat",
        "cerebras/llama3.1-8b",
    ],
)
def test_providers_whose_models_have_prices(model):
    assert cost_of_call(model, TOKENS) > 0


@pytest.mark.parametrize(
    "model",
    [
        "",
        "/",
        "openai/",
        "/gpt-4o",
        "unknown",
        "scripted",
        "my-own-gpt",
        "openai/my-own-gpt",
        "ollama/llama3.1",
        "ollama/gpt-4o",
        "ollama/deepseek-r1",
        "ollama_chat/llama3.1",
        "hosted_vllm/gpt-4o",
        "snowflake/claude-3-5-sonnet",
        "nobody/gpt-4o",
        "x" * 100_000,
        "\ud800\x00",
    ],
    ids=lambda model: ascii(model[:40]),
)
def test_an_unknown_price_is_no_price(model):
    """S78: a model on one's own machine does not cost what another company asks for one of that name."""
    assert cost_of_call(model, TOKENS) is None


def test_cached_tokens_cost_less():
    cached = TOKENS.model_copy(update={"cached_tokens": 500_000})

    assert cost_of_call("gpt-4o-mini", cached, AT) == Decimal("0.7125")
    assert cost_of_call("anthropic/claude-3-5-haiku-20241022", cached, AT) == Decimal("4.44")


def test_tokens_that_contradict_each_other_have_no_price():
    """S59"""
    assert cost_of_call("gpt-4o-mini", Usage(input_tokens=1, cached_tokens=5, requests=1)) is None


def test_the_price_is_that_of_the_day():
    """DeepSeek asked less at night then."""
    day = datetime(2025, 3, 1, 12, tzinfo=timezone.utc)
    night = datetime(2025, 3, 1, 20, tzinfo=timezone.utc)

    assert cost_of_call("deepseek/deepseek-chat", TOKENS, night) < cost_of_call("deepseek/deepseek-chat", TOKENS, day)


def test_the_cost_of_a_trace_is_that_of_its_calls_or_unknown():
    """S78"""
    made = trace(
        span("task", "known", call(1_000), call(1_000)),
        span("task", "failed", call(1_000), call(None, error="down")),
        span("task", "unreported", call(1_000), call(None)),
        span("task", "unpriced", call(1_000), call(1_000, model="scripted")),
        span("task", "none", span("tool", "t")),
    )

    assert made.task("known").cost == Decimal("0.0015")
    assert made.task("failed").cost == Decimal("0.00075")
    assert made.task("unreported").cost is None
    assert made.task("unpriced").cost is None
    assert made.task("none").cost == 0
    assert made.cost is None
    assert made.llm_calls.first.cost == Decimal("0.00075")
