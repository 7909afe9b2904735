"""The viewer of 1,000 tests with 100 spans each: writing it, its size, and opening it, beside pytest-html's report.

pytest-html gets the same texts, each once, as what a test prints: its report has no other place for them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Table, verdict
from benchmarks.stored import RUN, made
from pytest_crewai_trace.store.attempt import Attempt
from pytest_crewai_trace.store.clean import Cleaning
from pytest_crewai_trace.store.writer import Store
from pytest_crewai_trace.trace.trace import Trace
from pytest_crewai_trace.trace.usage import prices
from tests.browser.conftest import QUIET, chromium

MOST_SECONDS, MOST_MEGABYTES, MOST_TO_OPEN = 10.0, 500.0, 2.0
_ROUNDS = 3
_WRITE = """
import sys, time
from pathlib import Path
from pytest_crewai_trace.report.html import write
from pytest_crewai_trace.store.reader import find
began = time.process_time()
write(Path(sys.argv[2]), find([Path(sys.argv[1])]), force=True)
taken = time.process_time() - began
status = Path("/proc/self/status")
if status.exists():  # what getrusage says of a child begins with the memory of its parent
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    print(taken, int(peak.split()[1]) / 1e3)
else:
    print(taken, "nan")
"""
_TESTS = """
import pytest

@pytest.mark.parametrize("number", range({tests}))
def test_it(number):
    print({lines!r}, number)
    assert number % 10
"""


def table(tests: int = 1_000) -> Table:
    """CPU seconds, megabytes of memory and of the file, and wall-clock seconds until the list can be used."""
    found = Table(
        f"A viewer of {tests:,} tests with 100 spans",
        ("", "seconds to write", "MB of memory", "MB of file", "seconds to open", "target", "met"),
        "CPU seconds to write, wall-clock seconds to open in Chromium, each the best of three. One test in ten failed.",
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        ours = folder / "traces.html"
        store = Store(folder / "traces", RUN, Cleaning(), most_bytes=10**10, root=folder)
        for number in range(tests):
            trace = made(number)
            facts: dict[str, Any] = {"spans": len(trace.all_spans), "prices": prices(trace), "durations": {"call": 1.0}}
            outcome: Any = "passed" if number % 10 else "failed"
            kept = store.keep(
                Attempt(test_id=f"test_a.py::test_it[{number}]", outcome=outcome, run=RUN, **facts), trace
            )
            assert kept.path is not None, kept.problem
        said = [_python("-c", _WRITE, str(store.folder), str(ours)).split() for _ in range(_ROUNDS)]
        seconds, memory = min(float(one[0]) for one in said), float(said[-1][1])
        opened = _seconds_to_open(ours, "#tests .row")
        met = [verdict(seconds, MOST_SECONDS), verdict(memory, MOST_MEGABYTES)]
        met += [verdict(opened, MOST_TO_OPEN)] if opened is not None else []
        target = f"{MOST_SECONDS:g} s, {MOST_MEGABYTES:g} MB, {MOST_TO_OPEN:g} s"
        found.add(
            *("viewer, from stored traces", f"{seconds:.1f}", f"{memory:.0f}", _size(ours), _shown(opened), target),
            "NO" if "NO" in met else "yes",
        )
        theirs = folder / "report.html"
        lines = "\n".join(_texts(made(0)))
        (folder / "test_a.py").write_text(_TESTS.format(tests=tests, lines=lines), encoding="utf-8")
        options = ((), (f"--html={theirs}", "--self-contained-html"))
        took = [min(_pytest(folder, *given) for _ in range(_ROUNDS)) for given in options]
        if theirs.exists():
            opened = _seconds_to_open(theirs, ".results-table-row, #results-table tr")
            found.add(
                "pytest-html, from reports", f"{took[1] - took[0]:.1f}", "", _size(theirs), _shown(opened), "", ""
            )
            theirs_took, theirs_size = took[1] - took[0], theirs.stat().st_size
            found.promise(
                f"HTML of {tests:,} tests x 100 spans",
                f"{seconds:.1f} s, {_size(ours)} MB",
                f"pytest-html with the same text {theirs_took:.1f} s, {_size(theirs)} MB",
                "faster, smaller",
                met=seconds < theirs_took and ours.stat().st_size < theirs_size,
            )
    return found


def _texts(trace: Trace) -> Iterator[str]:
    """What the spans of a trace say, each text once."""
    seen = set()
    for span in trace.all_spans:
        yield f"{span.kind} {span.name} {span.status} {span.start:.3f} {span.end or 0:.3f}"
        for value in span.model_dump(mode="json", exclude_defaults=True).values():
            texts = value if isinstance(value, list) else [value]
            for text in map(str, texts):
                if len(text) > 20 and text not in seen:
                    seen.add(text)
                    yield text


def _python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout


def _pytest(folder: Path, *options: str) -> float:
    """CPU seconds of a run."""
    code = "import sys, time, pytest; pytest.main(sys.argv[1:]); print(); print(time.process_time(), file=sys.stderr)"
    arguments = [sys.executable, "-c", code, str(folder / "test_a.py"), "-q", "-p", "no:randomly", *options]
    run = subprocess.run(arguments, check=True, capture_output=True, text=True, cwd=folder)
    return float(run.stderr.split()[-1])


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f}"


def _shown(seconds: float | None) -> str:
    return "no browser" if seconds is None else f"{seconds:.2f}"


def _seconds_to_open(path: Path, row: str) -> float | None:
    executable = chromium()
    if executable is None:
        return None
    from playwright.sync_api import sync_playwright

    best = []
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=executable, args=list(QUIET))
        for _ in range(_ROUNDS):
            page = browser.new_page()
            began = time.perf_counter()
            page.goto(path.as_uri(), wait_until="commit", timeout=120_000)
            page.wait_for_selector(row, timeout=120_000)
            best.append(time.perf_counter() - began)
            page.close()
        browser.close()
    return min(best)
