"""Tokens and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.span import LLMSpan
    from pytest_crewai_trace.trace.trace import Trace

# The names under which crewAI's providers report one number (their ``_extract_*_token_usage`` and
# ``UsageMetrics.from_provider_dict``); the first that is present counts.
_INPUT = ("prompt_tokens", "input_tokens", "prompt_token_count", "inputTokens")
_OUTPUT = ("completion_tokens", "output_tokens", "candidates_token_count", "outputTokens")
_CACHED = (
    "cached_prompt_tokens",
    "cached_tokens",
    "cache_read_input_tokens",
    "cached_content_token_count",
    "cacheReadInputTokens",
    "cacheReadInputTokenCount",
)
_CACHE_WRITE = (
    "cache_creation_tokens",
    "cache_creation_input_tokens",
    "cacheWriteInputTokens",
    "cacheWriteInputTokenCount",
)
_ANTHROPICS_OWN = ("cache_read_input_tokens", "cache_creation_input_tokens")
_LEVELS = 3  # a provider's details are one level down
_REASONING = ("reasoning_tokens", "thoughts_token_count")


class Usage(BaseModel):
    """Tokens of one or more LLM calls.

    ``input_tokens`` includes the cached ones, ``output_tokens`` the reasoning ones, as the GenAI conventions have it.
    ``requests`` counts the calls, ``unreported`` those that were answered without a word on tokens.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    requests: int = 0
    unreported: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def complete(self) -> bool:
        """Whether every answer came with its tokens; if not, the sums are only what is known."""
        return self.unreported == 0

    @classmethod
    def of_call(cls, reported: Mapping[str, Any] | None, *, failed: bool = False) -> Usage:
        """The usage of one call from what its provider reported, if it did; a failed call has none to report."""
        numbers = _numbers(reported or {})
        input_tokens, output_tokens = _first(numbers, _INPUT), _first(numbers, _OUTPUT)
        cached, written = _first(numbers, _CACHED), _first(numbers, _CACHE_WRITE)
        reasoning = _first(numbers, _REASONING)
        if _cache_apart(numbers, input_tokens < cached + written):
            input_tokens += cached + written
        if "candidates_token_count" in numbers and "completion_tokens" not in numbers:  # Gemini's own form
            output_tokens += reasoning
        if not input_tokens and not output_tokens:  # crewAI's providers say 0 where the answer had no usage
            return cls(requests=1, unreported=0 if failed else 1)
        return cls(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cached_tokens=cached,
            cache_write_tokens=written,
            reasoning_tokens=reasoning,
            requests=1,
        )

    @classmethod
    def total(cls, usages: Iterable[Usage]) -> Usage:
        """The sum."""
        sums = dict.fromkeys(cls.model_fields, 0)
        for usage in usages:
            for name, value in usage.__dict__.items():
                sums[name] += value
        return cls(**sums)


def tokens_of(calls: Iterable[LLMSpan]) -> tuple[int, int, int]:
    """Input and output tokens of many calls, and how many were answered without a word on them.

    The same sums as ``Usage.total`` has, without a ``Usage`` for each.
    """
    given = answered = unreported = 0
    for call in calls:
        reported = call.reported_usage
        # Nearly every provider of crewAI's reports these two.
        asked = said = None
        if reported is not None:
            asked, said = reported.get("prompt_tokens"), reported.get("completion_tokens")
        if type(asked) is int and type(said) is int and asked > 0 and said >= 0:
            given += asked
            answered += said
        else:
            usage = call.call_usage
            given += usage.input_tokens
            answered += usage.output_tokens
            unreported += usage.unreported
    return given, answered, unreported


def cost_of(calls: Iterable[LLMSpan]) -> Decimal | None:
    """Price of many calls; ``None`` when one call's model or tokens are unknown. Equal calls are looked up once."""
    counts: dict[Any, int] = {}
    examples: dict[Any, LLMSpan] = {}
    for call in calls:
        at = call.origin.started_at
        minute = None if at is None else at.replace(second=0, microsecond=0)
        reported = call.reported_usage
        key: Any = (call.model, minute, call.status, None if reported is None else tuple(reported.items()))
        try:
            counts[key] = counts.get(key, 0) + 1
        except TypeError:  # details in a dict of their own
            key = (*key[:3], repr(reported))
            counts[key] = counts.get(key, 0) + 1
        examples[key] = call
    total = Decimal(0)
    for key, count in counts.items():
        call = examples[key]
        price = cost_of_call(call.model, call.call_usage, call.origin.started_at)
        if price is None:
            return None
        total += price * count
    return total


def _numbers(reported: Mapping[str, Any]) -> dict[str, int]:
    """The counts in a provider's report; the outer one where a name occurs at two levels."""
    numbers: dict[str, int] = {}
    level: list[Mapping[str, Any]] = [reported]
    for _ in range(_LEVELS):
        inner = []
        for fields in level:
            for name, value in fields.items():
                if type(value) is int:
                    if value >= 0:
                        numbers.setdefault(name, value)
                elif isinstance(value, Mapping):  # OpenAI's prompt_tokens_details and the like
                    inner.append(value)
        level = inner
    return numbers


def _cache_apart(numbers: Mapping[str, int], less_than_cached: bool) -> bool:
    """Whether the input is only what the cache took no part in: so Anthropic and Bedrock count, and crewAI before
    1.15.21 passes on.
    """
    if "prompt_tokens" in numbers:
        return False
    if "input_tokens" in numbers:
        return less_than_cached or not numbers.keys().isdisjoint(_ANTHROPICS_OWN)
    return "inputTokens" in numbers


def _first(numbers: Mapping[str, int], names: tuple[str, ...]) -> int:
    for name in names:
        if name in numbers:
            return numbers[name]
    return 0


def cost_of_call(model: str, usage: Usage, at: datetime | None = None) -> Decimal | None:
    """Price of one call in US dollars by ``genai-prices``; ``None`` when the model or its tokens are unknown.

    ``model`` may carry crewAI's provider prefix (``openai/gpt-4o-mini``).
    """
    if not usage.complete:
        return None
    if not usage.total_tokens:
        return Decimal(0)
    # Some prices depend on the time of day, by the minute.
    minute = None if at is None else at.replace(second=0, microsecond=0)
    counts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cache_write_tokens)
    return _price(model, counts, minute)


@lru_cache(maxsize=4096)  # the look-up takes 0.1 ms
def _price(model: str, counts: tuple[int, int, int, int], at: datetime | None) -> Decimal | None:
    from genai_prices import Usage as PricedUsage
    from genai_prices import calc_price

    tokens = PricedUsage(
        input_tokens=counts[0],
        output_tokens=counts[1],
        cache_read_tokens=counts[2] or None,
        cache_write_tokens=counts[3] or None,
    )
    provider, _, name = model.partition("/") if "/" in model else ("", "", model)
    attempts = [(name, _PROVIDERS.get(provider, provider)), (model, None)] if provider else [(model, None)]
    for reference, provider_id in attempts:
        try:
            price = calc_price(tokens, reference, provider_id=provider_id, genai_request_timestamp=at)
        except (LookupError, ValueError):  # ValueError: counts that contradict each other
            continue
        return Decimal(price.total_price)
    return None


def prices(trace: Trace) -> dict[int, Decimal | None]:
    """What each LLM call of a trace cost, by the number of its span, as ``cost_of_call`` has it."""
    return {
        span.id: cost_of_call(span.model, span.call_usage, span.origin.started_at)
        for span in trace.tree.inside(None, "llm")
    }


# crewAI's provider prefixes where genai-prices has another id.
_PROVIDERS = {
    "azure_openai": "azure",
    "bedrock": "aws",
    "claude": "anthropic",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "together_ai": "together",
    "vertex_ai": "google",
    "xai": "x-ai",
}
