"""What is known of one attempt at one test, besides its trace."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, NonNegativeInt

from pytest_crewai_trace.trace.usage import Usage

Outcome = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed", "interrupted", "crashed", "unknown"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
# What somebody has to look at.
BAD: frozenset[Outcome] = frozenset({"failed", "error", "interrupted", "crashed"})


class Attempt(BaseModel):
    """One attempt at one test: which it was, how it ended, where it ran.

    ``durations`` are seconds by phase (setup, call, teardown). ``message`` is what the failure said, ``about`` the
    numbers of the spans that it is about. ``costs`` are dollars by model, ``None`` where a model has no price, and
    ``prices`` by LLM call. ``versions``, ``git`` and ``ci`` hold what could be found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    test_id: str
    outcome: Outcome
    run: str = ""
    attempt: int = 1
    worker: str | None = None
    started_at: datetime | None = None
    durations: dict[str, float] = {}
    message: str | None = None
    about: tuple[NonNegativeInt, ...] = ()
    spans: int = 0
    usage: Usage = Usage()
    costs: dict[str, str | None] = {}
    prices: dict[int, Decimal | None] = {}
    tool_seconds: float = 0.0
    versions: dict[str, str] = {}
    git: dict[str, str] = {}
    ci: dict[str, str] = {}

    @property
    def bad(self) -> bool:
        """Whether somebody has to look at it."""
        return self.outcome in BAD

    @property
    def seconds(self) -> float:
        return sum(self.durations.values())

    @property
    def cost(self) -> Decimal | None:
        """US dollars; ``None`` where a price or the tokens of a call are not known."""
        if not self.usage.complete or None in self.costs.values():
            return None
        return sum((Decimal(cost) for cost in self.costs.values() if cost is not None), Decimal(0))


def outcome_of(phases: dict[str, Any]) -> Outcome:
    """How a test ended, by the reports of its phases."""
    reports = list(phases.values())
    if any(report.failed for report in reports if report.when == "call"):
        return "failed"
    if any(report.failed for report in reports):
        return "error"
    if "teardown" not in phases:
        return "interrupted"
    expected_to_fail = any(hasattr(report, "wasxfail") for report in reports)
    if any(report.skipped for report in reports):
        return "xfailed" if expected_to_fail else "skipped"
    return "xpassed" if expected_to_fail else "passed"
