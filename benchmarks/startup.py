"""What the plugin adds to a pytest run in which nothing of crewAI runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Ratio, Spread, Table, quickest
from benchmarks.others import ROOT, peers_python

TESTS = 200
MOST_PER_TEST = 0.3  # ms
MOST_IMPORT = 3.0  # ms
MOST_MODULES = 9

_IMPORT = """
import json, sys, time
import pytest
before = set(sys.modules)
began = time.process_time()
for name in sys.argv[1:]:
    __import__(name)
print(json.dumps([time.process_time() - began, sorted(set(sys.modules) - before)]))
"""

OURS = "pytest-crewai-trace"
EMPTY = "an empty plugin"
PEERS = {
    EMPTY: "empty_plugin",
    "xdist": "xdist.plugin",
    "pytest-recording": "pytest_recording.plugin",
    "syrupy": "syrupy",
    "pytest-asyncio": "pytest_asyncio.plugin",
}
# In an environment of their own, as they change what is installed beside them, or load something in every process.
ELSEWHERE = {
    "logfire": "logfire._internal.integrations.pytest",
    "langsmith": "langsmith.pytest_plugin",
    "deepeval": "deepeval.plugins.plugin",
}
MOST_COLLECTING = 15.0  # ms


def python(*arguments: str, folder: Path, executable: str | Path = sys.executable) -> subprocess.CompletedProcess[str]:
    """A Python of its own, in which no plugin is loaded but those that are named."""
    path = os.pathsep.join([str(ROOT), str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    environment.pop("CREWAI_TRACING_ENABLED", None)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # pytest would rewrite the asserts of each plugin every time
    return subprocess.run(
        [str(executable), *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )


def cpu_of_children() -> float:
    try:
        import resource
    except ImportError:  # Windows
        times = os.times()
        return times.children_user + times.children_system
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)  # os.times() counts in hundredths of a second
    return usage.ru_utime + usage.ru_stime


def imports(*, rounds: int) -> Table:
    made = Table(
        "Importing the plugin on top of pytest",
        ("what", "CPU, ms", "modules"),
        note=f"{rounds} processes each, in turn.",
    )
    modules = {OURS: "pytest_crewai_trace.plugin", **PEERS, **(ELSEWHERE if peers_python() else {})}
    taken: dict[str, list[float]] = {name: [] for name in modules}
    new: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty_plugin.py").write_text("")
        for number in range(rounds + 1):  # the first one writes byte code
            for what, module in list(modules.items()):
                try:
                    seconds, new[what] = json.loads(
                        _in(what, "-c", _IMPORT, module, folder=folder).stdout.splitlines()[-1]
                    )
                except subprocess.CalledProcessError:
                    del modules[what], taken[what]  # not installed here
                    continue
                if number:
                    taken[what].append(seconds)
    medians = {what: Spread.of(values) for what, values in taken.items()}
    for what, spread in medians.items():
        made.add(what, spread.show(1e3, 2), len(new[what]))
    ours, count = medians[OURS].median * 1e3, len(new[OURS])
    made.promise(
        "importing the plugin on top of pytest, CPU and modules",
        f"{ours:.1f} ms, {count} modules",
        "; ".join(f"{what} {spread.median * 1e3:.1f} ms" for what, spread in medians.items() if what != OURS),
        f"under {MOST_IMPORT:.0f} ms, under {MOST_MODULES + 1} modules",
        met=ours < MOST_IMPORT and count <= MOST_MODULES,
        apart=Ratio.of(taken[OURS], taken["xdist" if "xdist" in taken else EMPTY]).apart,
    )
    made.note += f" Ours imports: {', '.join(f'`{module}`' for module in new[OURS])}."
    return made


def _in(what: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """In this Python, or in that of the peers."""
    other = peers_python() if what in ELSEWHERE else None
    return python(*arguments, folder=folder, executable=other or sys.executable)


def collecting(*, rounds: int) -> Table:
    """``--collect-only`` of an empty test, each plugin against the same Python without it in the same round."""
    plugins = {OURS: "pytest_crewai_trace.plugin", "syrupy": "syrupy", **(ELSEWHERE if peers_python() else {})}
    arguments = ("-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider")
    taken: dict[str, dict[bool, list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_it.py").write_text("def test_it():\n    pass\n")
        (folder / "pytest.ini").write_text("[pytest]\n")
        for number in range(rounds + 1):
            for what, plugin in list(plugins.items()):
                options = ((), ("-p", plugin)) if number % 2 else (("-p", plugin), ())
                try:
                    took = {
                        bool(option): _cpu(what, *arguments, *option, "test_it.py", folder=folder) for option in options
                    }
                except subprocess.CalledProcessError:
                    del plugins[what]
                    taken.pop(what, None)
                    continue
                if number:
                    for option, seconds in took.items():
                        taken.setdefault(what, {True: [], False: []})[option].append(seconds)
    made = Table(
        "pytest --collect-only of an empty test",
        ("with", "adds, ms", "of all rounds"),
        note=f"CPU of the whole process, {rounds} rounds, each with and without in turn. What it adds is between the"
        " quickest quarters of the rounds; beside it the median of all.",
    )
    added = {what: quickest(of[True]) - quickest(of[False]) for what, of in taken.items()}
    for what, of in taken.items():
        pairs = zip(of[True], of[False], strict=True)
        made.add(what, f"{added[what] * 1e3:.1f}", Spread.of([one - other for one, other in pairs]).show(1e3))
    ours = added[OURS] * 1e3
    made.promise(
        "pytest --collect-only on an empty test, CPU",
        f"{ours:+.1f} ms",
        "; ".join(f"{what} {more * 1e3:+,.0f} ms" for what, more in added.items() if what != OURS),
        f"at most {MOST_COLLECTING:+.0f} ms",
        met=ours <= MOST_COLLECTING,
        apart=Ratio.of(taken[OURS][True], taken[OURS][False]).apart,
    )
    return made


def _cpu(what: str, *arguments: str, folder: Path) -> float:
    before = cpu_of_children()
    _in(what, *arguments, folder=folder)
    return cpu_of_children() - before


def tests(*, rounds: int) -> Table:
    """Paired runs of pytest over empty tests, with and without the option."""
    made = Table(
        "A traced test without crewAI",
        ("what", "ms"),
        note=f"pytest on {TESTS} empty tests and on one, with and without --crewai-trace, {rounds} rounds, CPU of the"
        " whole process. The cost of a test is what is left after that of switching tracing on; between the quickest"
        " quarters of the rounds.",
    )
    arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_crewai_trace.plugin")
    taken: dict[tuple[int, bool], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n")
        for count in (1, TESTS):
            tests = "\n".join(f"def test_{number}():\n    pass\n" for number in range(count))
            (folder / f"test_{count}.py").write_text(tests)
        for number in range(rounds + 1):
            for count in (1, TESTS):
                for traced in (False, True) if number % 2 else (True, False):
                    before = cpu_of_children()
                    python(*arguments, *["--crewai-trace"] * traced, f"test_{count}.py", folder=folder)
                    if number:
                        taken.setdefault((count, traced), []).append(cpu_of_children() - before)

    least = {which: quickest(of) * 1e3 for which, of in taken.items()}
    untraced = (least[TESTS, False] - least[1, False]) / (TESTS - 1)
    per_test = (least[TESTS, True] - least[1, True]) / (TESTS - 1) - untraced
    made.add("an empty test, untraced", f"{untraced:.3f}")
    made.add("tracing adds to a test", f"{per_test:.3f}")
    made.add("tracing adds to a session, once", f"{least[1, True] - least[1, False]:.1f}")
    made.promise(
        "a traced test without crewAI",
        f"{per_test:+.2f} ms",
        f"the same test untraced {untraced:.2f} ms",
        f"at most +{MOST_PER_TEST} ms",
        met=per_test <= MOST_PER_TEST,
        apart=Ratio.of(taken[TESTS, True], taken[TESTS, False]).apart,
    )
    return made


def machine_speed() -> float:
    """Milliseconds of CPU for a loop that only counts, to compare machines by."""
    began = time.process_time()
    total = 0
    for number in range(1_000_000):
        total += number
    return (time.process_time() - began) * 1e3
