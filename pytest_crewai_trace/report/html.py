"""The viewer: traces as one HTML file that needs no server and no network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError, to_json

from pytest_crewai_trace.errors import CrewaiTraceError, TraceDocumentError
from pytest_crewai_trace.files import PRIVATE, replacing
from pytest_crewai_trace.publish.links import page_of
from pytest_crewai_trace.report.target import GENERATOR, check, key
from pytest_crewai_trace.report.totals import Totals
from pytest_crewai_trace.trace.document import parsed, trace_of
from pytest_crewai_trace.trace.render import where_it_failed
from pytest_crewai_trace.trace.usage import prices

if TYPE_CHECKING:
    from pytest_crewai_trace.store.reader import Found, Stored
    from pytest_crewai_trace.trace.trace import Trace

_SCRIPTS = ("text.js", "rows.js", "span.js", "timeline.js", "viewer.js")
_LONGEST_MESSAGE = 400  # of a failure, in the list of tests
_MOST_NAMES = 100  # by which a test is found
_MOST_COMPARED = 5_000  # spans
_ENDED = {"passed": "the run that passed,", "failed": "the run that failed,"}
_EXACT_DIGITS = 15


@dataclass(frozen=True)
class Written:
    """What is in the viewer: how many tests, and what was skipped, with the reason."""

    tests: int
    skipped: tuple[tuple[Path, str], ...]


def write(
    path: Path,
    found: Found,
    *,
    earlier: Iterable[Stored] = (),
    force: bool = False,
    progress: Callable[[Sequence[Stored]], Iterable[Stored]] = iter,
) -> Written:
    """Write the viewer of ``found`` to ``path``, whole or not at all.

    Each test that failed is compared with the last time that it passed, else that it ran, among ``found`` and
    ``earlier``. ``force`` replaces any file. ``progress`` hands on the traces, and may tell how far they are.

    Raises:
        ViewerError: ``check`` would.
        OSError: it cannot be written.
    """
    check(path, force=force)
    from jinja2 import Environment
    from markupsafe import Markup

    templates = files(__package__) / "templates"
    read = {name: (templates / name).read_text("utf-8") for name in ("viewer.html", "viewer.css", *_SCRIPTS)}
    script, style = "\n".join(read[name] for name in _SCRIPTS), read["viewer.css"]
    run = _Run(found, earlier)
    template = Environment(autoescape=True).from_string(read["viewer.html"])
    parts = template.generate(
        policy=_policy(script, style),
        generator=GENERATOR,
        script=Markup(script),
        style=Markup(style),
        traces=run.traces(progress(found.stored)),
        run=run.packed,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, PRIVATE) as file:
        file.writelines(part.encode() for part in parts)
    return Written(len(run.tests), tuple(run.skipped))


def _policy(script: str, style: str) -> str:
    """Nothing may be loaded, and no script or style may run but ours, which is known by its hash."""
    script_hash, style_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)
    )
    return (
        f"default-src 'none'; script-src 'sha256-{script_hash}'; style-src 'sha256-{style_hash}'; img-src data:;"
        " base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


class _Run:
    """What the page is made of. The traces are read one after the other, while the page is written."""

    def __init__(self, found: Found, earlier: Iterable[Stored]) -> None:
        self.skipped = list(found.skipped)
        self.tests: list[dict[str, Any]] = []
        self.totals = Totals()
        self._runs = {one.attempt.run: one.attempt for one in found.stored}
        self._attempts: dict[str, list[Stored]] = {}
        for one in sorted({one.path: one for one in (*earlier, *found.stored)}.values(), key=_when):
            self._attempts.setdefault(one.attempt.test_id, []).append(one)
        times = Counter((one.attempt.test_id, one.attempt.attempt) for one in found.stored)
        self._needs_run = {which for which, number in times.items() if number > 1}
        self._keys: set[str] = set()

    def traces(self, all_stored: Iterable[Stored]) -> Iterator[str]:
        for stored in all_stored:
            large: list[int] = []
            try:
                text = stored.text()
                document = parsed(text, partial(_noted, large))
                trace = trace_of(document)
            except (TraceDocumentError, OSError) as error:
                self.skipped.append((stored.path, str(error)))
            else:
                if large:
                    document = json.loads(text, parse_int=_whole)
                yield self._trace(stored, trace, document)

    def _trace(self, stored: Stored, trace: Trace, document: dict[str, Any]) -> str:
        totals = Totals.of(trace, stored.attempt.prices or prices(trace))
        self.totals.add(totals)
        attempt = stored.attempt
        for span in document["spans"]:
            span.pop("origin", None)
        content = {
            "spans": document["spans"],
            "messages": document["messages"],
            "events": document.get("events", []),
            "message": attempt.message,
            "incomplete": document.get("incomplete", []),
            "calls": totals.calls,
            "failing": where_it_failed(trace.tree, attempt.about) if attempt.bad else [],
            "totals": totals.tables(),
            "compared": _compared(self._before(stored), trace) if attempt.bad else None,
        }
        self.tests.append(
            {
                "place": len(self.tests),
                "key": self._key(stored),
                "id": attempt.test_id,
                "outcome": attempt.outcome,
                "bad": attempt.bad,
                "attempt": attempt.attempt,
                "worker": attempt.worker,
                "seconds": attempt.seconds,
                "durations": attempt.durations,
                "message": attempt.message and attempt.message[:_LONGEST_MESSAGE],
                "names": totals.names(_MOST_NAMES),
                "sum": totals.sum.plain(),
                "page": page_of(stored.path),
                "run": attempt.run if (attempt.test_id, attempt.attempt) in self._needs_run else None,
            }
        )
        return _packed(content)

    def _before(self, stored: Stored) -> Stored | None:
        """The last attempt before that did not fail, else the last one."""
        before = [one for one in self._attempts[stored.attempt.test_id] if _when(one) < _when(stored)]
        return next((one for one in reversed(before) if not one.attempt.bad), before[-1] if before else None)

    def _key(self, stored: Stored) -> str:
        """The same attempt at the same test may be there twice, of two runs."""
        found = first = key(stored.attempt.test_id, stored.attempt.attempt)
        number = 1
        while found in self._keys:
            number += 1
            found = f"{first}-{number}"
        self._keys.add(found)
        return found

    def packed(self) -> str:
        """The list of tests and the totals; complete when all traces were taken."""
        return _packed(
            {
                "tests": self.tests,
                "sum": self.totals.sum.plain(),
                "totals": self.totals.tables(),
                "runs": [
                    {"name": name, "facts": {**attempt.versions, **attempt.git, **attempt.ci}}
                    for name, attempt in sorted(self._runs.items())
                ],
                "skipped": [(str(path), why) for path, why in self.skipped],
            }
        )


def _compared(before: Stored | None, trace: Trace) -> dict[str, Any] | None:
    """What was done differently from an earlier trace, in the words of the snapshots."""
    if before is None or max(before.attempt.spans, len(trace.all_spans)) > _MOST_COMPARED:
        return None
    from pytest_crewai_trace.snapshot.messages import difference
    from pytest_crewai_trace.snapshot.options import Options
    from pytest_crewai_trace.snapshot.render import tree_text
    from pytest_crewai_trace.trace.redact import Redactor

    try:
        texts = [tree_text(each, Options.of(level="calls"), Redactor()) for each in (before.trace(), trace)]
    except (CrewaiTraceError, OSError):
        return None
    found, lines = difference(*texts) if texts[0] != texts[1] else (None, [])
    told = before.attempt
    return {
        "with": " ".join([_ENDED.get(told.outcome, f"({told.outcome})"), told.run]),
        "sentences": [] if found is None else [*found.behaviour, *found.detail],
        "lines": lines,
    }


def _when(stored: Stored) -> tuple[str, int]:
    return stored.attempt.run, stored.attempt.attempt


def _packed(content: dict[str, Any]) -> str:
    try:
        text = to_json(content, inf_nan_mode="null")
    except PydanticSerializationError:  # a lone surrogate, or deeper than it goes
        try:
            text = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
        except ValueError:  # a number in the first line of a file that somebody else has written
            text = json.dumps(_finite(content), separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(text, 6, mtime=0)).decode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _noted(large: list[int], digits: str) -> int:
    number = int(digits)
    if len(digits) > _EXACT_DIGITS:
        large.append(number)
    return number


def _whole(digits: str) -> int | str:
    """JavaScript's numbers are floats: a large whole number stays a text, or it would lose digits."""
    return int(digits) if len(digits) <= _EXACT_DIGITS else digits
