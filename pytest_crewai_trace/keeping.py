"""What a session does with a finished trace: clean it, keep it, put what others show of it on the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import pytest

from pytest_crewai_trace.marks import keep_of
from pytest_crewai_trace.redaction import redactor_of
from pytest_crewai_trace.settings import SETTINGS
from pytest_crewai_trace.store.attempt import BAD, Attempt, outcome_of
from pytest_crewai_trace.store.clean import Cleaning
from pytest_crewai_trace.store.surroundings import ci, git, versions
from pytest_crewai_trace.store.writer import Store
from pytest_crewai_trace.trace.trace import Trace, TraceOrigin
from pytest_crewai_trace.trace.usage import Usage, prices

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_crewai_trace.publish.native import NativeTracing
    from pytest_crewai_trace.publish.packing import PackedOnReport, Packing
    from pytest_crewai_trace.report.terminal import Counts

_LONGEST_MESSAGE = 10_000


class KeptOnReport(TypedDict):
    """What travels on a report of where its trace went; ``path`` as seen from where pytest was started."""

    path: str | None
    problem: str | None
    dropped: int


class Keeping:
    """The cleaning and the store of one process."""

    def __init__(self, config: pytest.Config) -> None:
        settings = self.settings = config.stash[SETTINGS]
        self._root = config.rootpath
        self._here = config.invocation_params.dir
        redactor = redactor_of(config, config.hook)
        self.cleaning = Cleaning(redactor.patterns, redactor.hook)
        self._store = Store(
            settings.folder,
            settings.run,
            self.cleaning,
            most_bytes=settings.most_bytes,
            root=self._root,
            is_default=settings.folder_is_default,
        )
        self._cleaned: tuple[Trace, Trace] | None = None
        self._told_of_hook = False
        self._packs: Packing | None = None

    def clean(self, trace: Trace) -> Trace:
        """A trace as it may be shown; that of the running test is made once."""
        if self._cleaned is None or self._cleaned[0] is not trace:
            self._cleaned = (trace, self.cleaning.trace(trace))
        return self._cleaned[1]

    def keep(
        self,
        item: pytest.Item,
        phases: dict[str, pytest.TestReport],
        trace: Trace,
        counts: Counts,
        attempt: int,
        about: tuple[int, ...] = (),
        native: NativeTracing | None = None,
    ) -> tuple[KeptOnReport | None, PackedOnReport | None]:
        """Write the trace of an attempt that has ended, and what is to be published of it, if it is one of those that
        stay, or are to be sent.
        """
        outcome, keep = outcome_of(phases), keep_of(item, self.settings)
        stays, publish = keep == "all" or (keep == "failed" and outcome in BAD), self.settings.publish
        goes = native is not None and publish is not None and (publish.which == "all" or outcome in BAD)
        if not (stays or goes) or (trace.empty and trace.complete):
            if native is not None:
                native.discard()
            return None, None
        facts = Attempt(
            test_id=item.nodeid,
            outcome=outcome,
            attempt=attempt,
            started_at=trace.origin.started_at,
            durations={when: round(report.duration, 6) for when, report in phases.items()},
            message=self._message(phases),
            about=about,
            spans=len(trace.all_spans),
            usage=Usage(**counts["usage"]),
            costs=counts["costs"],
            prices=prices(trace),
            tool_seconds=round(counts["tool_seconds"], 6),
            **self._around(),
        )
        if native is None or not goes:
            return self._kept(facts, trace), None
        packed, name = self._packing().pack(item, facts, trace, native)
        stays = stays or packed["held"] is not None  # kept for later
        return self._kept(facts, trace, name) if stays else None, packed

    def _packing(self) -> Packing:
        from pytest_crewai_trace.publish.packing import Packing

        if self._packs is None:
            how_much = "redacted" if self.settings.publish is None else self.settings.publish.content
            self._packs = Packing(self._store, self.cleaning, how_much, self._root)
        return self._packs

    def keep_crashed(self, test_id: str, worker: str | None, message: str) -> KeptOnReport | None:
        """Write down that a test took its process with it, and its trace."""
        if self.settings.keep == "none":
            return None
        trace = Trace(
            incomplete=("the process died, and with it the trace of this test",), origin=TraceOrigin(test_id=test_id)
        )
        facts = Attempt(test_id=test_id, outcome="crashed", message=message, **{**self._around(), "worker": worker})
        return self._kept(facts, trace)

    def _around(self) -> dict[str, Any]:
        return {
            "run": self.settings.run,
            "worker": self.settings.worker,
            "versions": versions(),
            "git": git(self._root),
            "ci": ci(),
        }

    def in_viewer(self, test_id: str, attempt: int, kept: KeptOnReport | None) -> str | None:
        """The address of a trace in the viewer that this run will write, if it does."""
        html = self.settings.html
        if html is None or kept is None or kept["path"] is None:
            return None
        from pytest_crewai_trace.report.target import key

        return f"{self._from_here(html)}#{key(test_id, attempt)}"

    def _from_here(self, path: Path) -> str:
        return (path.relative_to(self._here) if path.is_relative_to(self._here) else path).as_posix()

    def _kept(self, facts: Attempt, trace: Trace, name: str | None = None) -> KeptOnReport:
        kept = self._store.keep(facts, trace, name)
        shown = None if kept.path is None else self._from_here(kept.path)
        return KeptOnReport(path=shown, problem=kept.problem or self._hook_problem(), dropped=kept.dropped)

    def _message(self, phases: dict[str, pytest.TestReport]) -> str | None:
        """What the first failure said."""
        return next((self.said(report) for report in phases.values() if report.failed), None)

    def said(self, report: pytest.TestReport) -> str | None:
        """What a failure said; cut where no secret is left, as half of one would not be found."""
        crash = getattr(report.longrepr, "reprcrash", None)
        said = str(getattr(crash, "message", None) or report.longreprtext)
        cleaned: str = self.cleaning.value(said[: 10 * _LONGEST_MESSAGE], "message")
        return cleaned[:_LONGEST_MESSAGE] or None

    def _hook_problem(self) -> str | None:
        if not self.cleaning.failures or self._told_of_hook:
            return None
        self._told_of_hook = True
        return f"{self.cleaning.failures[0]}; the texts that it was given were dropped"


KEEPING: pytest.StashKey[Keeping] = pytest.StashKey()


def keeping_of(config: pytest.Config) -> Keeping:
    """The one of this process; made when it is needed, as it needs pydantic."""
    if KEEPING not in config.stash:
        config.stash[KEEPING] = Keeping(config)
    return config.stash[KEEPING]
