"""The viewer: traces as one HTML file that needs no server and no network."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.errors import CrewaiTraceError, TraceDocumentError
from pytest_crewai_trace.report.totals import Totals, compared
from pytest_crewai_trace.trace.document import to_document
from pytest_crewai_trace.trace.render import failing
from pytest_crewai_trace.trace.usage import prices

if TYPE_CHECKING:
    from pytest_crewai_trace.store.reader import Found, Stored
    from pytest_crewai_trace.trace.trace import Trace

GENERATOR = "pytest-crewai-trace"
_SCRIPTS = ("text.js", "rows.js", "span.js", "timeline.js", "viewer.js")
_HEAD_BYTES = 2_000  # of a file, in which it says that we made it
_LONGEST_MESSAGE = 400  # of a failure, in the list of tests
_MOST_NAMES = 100  # by which a test is found
_EXACT = 2**53  # JavaScript's numbers are floats: larger ones lose digits
_MANY_DIGITS = re.compile(r"[0-9]{16}")


class ViewerError(CrewaiTraceError):
    """The viewer cannot be written to the path that was asked for."""


@dataclass(frozen=True)
class Written:
    """What is in the viewer: how many tests, and what was skipped, with the reason."""

    tests: int
    skipped: tuple[tuple[Path, str], ...]


def check(path: Path) -> None:
    """Whether the viewer may be written to ``path``.

    Raises:
        ViewerError: it is a folder, its folder is not one, or there is a file that is no viewer of ours.
    """
    try:
        if path.is_dir():
            raise ViewerError(f"{path} is a folder; name a file in it, such as {path / 'traces.html'}")
        if path.exists() and not (path.is_file() and _is_ours(path)):
            raise ViewerError(f"{path} exists and is no viewer of traces; remove it, or name another file")
        above = next(folder for folder in path.absolute().parents if folder.exists())
        if not above.is_dir():
            raise ViewerError(f"{above} is no folder, so {path} cannot be written")
    except (OSError, ValueError) as error:  # ValueError: a NUL in a path
        raise ViewerError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return f'<meta name="generator" content="{GENERATOR}'.encode() in file.read(_HEAD_BYTES)


def write(
    path: Path, found: Found, *, earlier: Iterable[Stored] = (), progress: Callable[[int], None] = lambda done: None
) -> Written:
    """Write the viewer of ``found`` to ``path``, whole or not at all.

    ``earlier`` are traces of runs before: each test is compared with the last of its own. ``progress`` is told after
    each test how many are done.

    Raises:
        ViewerError: ``check`` would.
        OSError: it cannot be written.
    """
    check(path)
    from jinja2 import Environment
    from markupsafe import Markup

    templates = files(__package__) / "templates"
    read = {name: (templates / name).read_text("utf-8") for name in ("viewer.html", "viewer.css", *_SCRIPTS)}
    script, style = "\n".join(read[name] for name in _SCRIPTS), read["viewer.css"]
    run = _Run(found, earlier, progress)
    template = Environment(autoescape=True).from_string(read["viewer.html"])
    parts = template.generate(
        policy=_policy(script, style),
        generator=GENERATOR,
        script=Markup(script),  # noqa: S704 - our own files
        style=Markup(style),  # noqa: S704
        traces=run.traces(),
        run=run.packed,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, parts)
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


def _replace(path: Path, parts: Iterable[str]) -> None:
    temporary = path.with_name(f".writing-{os.getpid()}-{path.name[-100:]}")
    opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        with open(opened, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(parts)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


class _Run:
    """What the page is made of. The traces are read one after the other, while the page is written."""

    def __init__(self, found: Found, earlier: Iterable[Stored], progress: Callable[[int], None]) -> None:
        self.stored: Sequence[Stored] = found.stored
        self.skipped = list(found.skipped)
        self.tests: list[dict[str, Any]] = []
        self.totals = Totals()
        self._earlier: dict[str, Stored] = {}
        for stored in sorted(earlier, key=lambda one: (not one.attempt.bad, one.attempt.run)):
            self._earlier[stored.attempt.test_id] = stored  # the last that went well, else the last
        self._progress = progress
        self._keys: set[str] = set()

    def traces(self) -> Iterator[str]:
        for done, stored in enumerate(self.stored, start=1):
            try:
                trace = stored.trace()
            except (TraceDocumentError, OSError) as error:
                self.skipped.append((stored.path, str(error)))
            else:
                yield self._trace(stored, trace)
            self._progress(done)

    def _trace(self, stored: Stored, trace: Trace) -> str:
        totals = Totals.of(trace, stored.attempt.prices or prices(trace))
        self.totals.add(totals)
        attempt = stored.attempt
        document = to_document(trace)
        for span in document["spans"]:
            span.pop("origin", None)
        content = {
            "spans": document["spans"],
            "messages": document["messages"],
            "events": document.get("events", []),
            "incomplete": document.get("incomplete", []),
            "calls": totals.calls,
            "failing": self._failing(stored, trace),
            "totals": totals.tables(),
            "compared": compared(self._earlier.get(attempt.test_id), trace),
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
                "message": attempt.message,
                "names": totals.names(_MOST_NAMES),
                "sum": totals.sum.plain(),
                "run": attempt.run,
            }
        )
        return _packed(content)

    def _failing(self, stored: Stored, trace: Trace) -> list[int]:
        """The spans that the failed assertion is about; where it does not say, those in which trouble began."""
        about = [number for number in stored.attempt.about if number < len(trace.all_spans)]
        return about or (failing(trace.tree) if stored.attempt.bad else [])

    def _key(self, stored: Stored) -> str:
        """What the page's address has after ``#`` for a test: the same for the same test, in every run."""
        attempt = stored.attempt
        digest = hashlib.sha256(attempt.test_id.encode("utf-8", "surrogatepass")).hexdigest()[:10]
        key = stem = f"{digest}-{attempt.attempt}"
        number = 1
        while key in self._keys:
            number += 1
            key = f"{stem}-{number}"
        self._keys.add(key)
        return key

    def packed(self) -> str:
        """The list of tests and the totals; complete when all traces were taken."""
        runs = {stored.attempt.run: stored.attempt for stored in self.stored}
        if len(runs) == 1:
            for test in self.tests:
                test["run"] = None
        return _packed(
            {
                "tests": self.tests,
                "sum": self.totals.sum.plain(),
                "totals": self.totals.tables(),
                "runs": [
                    {"name": name, "facts": {**attempt.versions, **attempt.git, **attempt.ci}}
                    for name, attempt in sorted(runs.items())
                ],
                "skipped": [(str(path), why) for path, why in self.skipped],
            }
        )


def _packed(content: dict[str, Any]) -> str:
    text = json.dumps(content, separators=(",", ":"))
    if _MANY_DIGITS.search(text):
        text = json.dumps(_exact(content), separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def _exact(value: Any) -> Any:
    """Plain data whose large whole numbers are texts."""
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(item) for item in value]
    return str(value) if isinstance(value, int) and abs(value) > _EXACT else value
