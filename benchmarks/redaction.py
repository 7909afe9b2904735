"""Taking the secrets out of 1 MB of text, beside all patterns as one compiled regular expression."""

from __future__ import annotations

import random
import re
import statistics

from benchmarks.measure import Ratio, Spread, Table, case, interleave, seconds
from pytest_crewai_trace.trace import redact
from pytest_crewai_trace.trace.redact import Redactor

MOST_TIMES = 5.0
_BYTES = 1_000_000
_WORDS = [
    "the",
    "index",
    "of",
    "articles",
    "answer:",
    "tokens",
    "for",
    "basic",
    "query",
    "results",
    "(2026)",
    "a",
    "b=c",
]
_PATTERNS = (redact._TOKEN, redact._AZURE, redact._PEM, redact._USER_INFO, redact._SCHEME, redact._QUERY, redact._ROOT)
_SECRETS = (
    "sk-proj-abcdefgh12345678",
    "ghp_abcdefghijklmnop1234",
    "https://user:hunter22@host/",
    "api_key=abcd1234efgh5678",
)


def text(size: int = _BYTES) -> str:
    """Prose of a model with JSON in it, and a secret every 20,000 characters."""
    chosen, lines, length = random.Random(1), [], 0
    while length < size:
        line = " ".join(chosen.choices(_WORDS, k=14))
        line = f'{{"query": "{line}", "limit": 10}}' if chosen.random() < 0.1 else line
        if length // 20_000 != (length + len(line)) // 20_000:
            line += f" {chosen.choice(_SECRETS)}"
        lines.append(line)
        length += len(line) + 1
    return "\n".join(lines)[:size]


def union() -> re.Pattern[str]:
    """Every pattern of ours in one: the same flags, their groups made nameless."""
    bare = [re.sub(r"\\([1-9])", r"(?:)", pattern.pattern) for pattern in _PATTERNS]
    return re.compile("|".join(f"(?:{one})" for one in bare), re.ASCII)


def table(*, rounds: int) -> Table:
    whole, one, redactor = text(), union(), Redactor()
    cases = {
        "all patterns, names and packed texts": case(lambda: redactor.text(whole)),
        "one compiled regular expression": case(lambda: one.sub("", whole)),
    }
    taken = interleave(rounds, cases)
    made = Table("Redaction of 1 MB", ("", "ms"), note="Text of models with a secret every 20,000 characters.")
    for name, cpus in taken.items():
        made.add(name, Spread.of(seconds(cpus)).show(1e3))
    ours, theirs = (seconds(cpus) for cpus in taken.values())
    ratio = Ratio.of(ours, theirs)
    made.promise(
        "redaction of 1 MB with all patterns",
        f"{statistics.median(ours) * 1e3:.0f} ms, {ratio.median:.2f} times",
        f"one compiled regular expression of them all {statistics.median(theirs) * 1e3:.0f} ms",
        f"at most {MOST_TIMES:.0f} times",
        met=ratio.median <= MOST_TIMES,
        apart=ratio.apart,
    )
    return made
