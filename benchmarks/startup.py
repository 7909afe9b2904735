"""What the plugin adds to a pytest run in which nothing of crewAI runs."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Spread, Table, verdict

ROOT = Path(__file__).parent.parent
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

PEERS = {
    "an empty plugin": "empty_plugin",
    "xdist": "xdist.plugin",
    "pytest-recording": "pytest_recording.plugin",
    "syrupy": "syrupy",
}


def python(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A Python of its own, in which no plugin is loaded but those that are named."""
    path = os.pathsep.join([str(ROOT), str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    environment.pop("CREWAI_TRACING_ENABLED", None)
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
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
        ("what", "CPU, ms", "modules", "target", "met"),
        note=f"{rounds} processes each, in turn.",
    )
    modules = {"pytest-crewai-trace": "pytest_crewai_trace.plugin", **PEERS}
    taken: dict[str, list[float]] = {name: [] for name in modules}
    new: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty_plugin.py").write_text("")
        for number in range(rounds + 1):  # the first one writes byte code
            for what, module in list(modules.items()):
                try:
                    seconds, new[what] = json.loads(python("-c", _IMPORT, module, folder=folder).stdout)
                except subprocess.CalledProcessError:
                    del modules[what], taken[what]  # not installed here
                    continue
                if number:
                    taken[what].append(seconds)
    for what, values in taken.items():
        ours = what == "pytest-crewai-trace"
        spread, count = Spread.of(values), len(new[what])
        met = verdict(max(spread.median * 1e3 / MOST_IMPORT, count / MOST_MODULES), 1.0)
        made.add(
            what,
            spread.show(1e3, 2),
            count,
            f"under {MOST_IMPORT:.0f} ms, at most {MOST_MODULES} modules" if ours else "",
            met if ours else "",
        )
    made.note += f" Ours imports: {', '.join(f'`{module}`' for module in new['pytest-crewai-trace'])}."
    return made


def tests(*, rounds: int) -> Table:
    """Paired runs of pytest over empty tests, with and without the option."""
    made = Table(
        "A traced test without crewAI",
        ("what", "ms", "target", "met"),
        note=f"pytest on {TESTS} empty tests and on one, with and without --crewai-trace, {rounds} rounds, CPU of the"
        " whole process. The cost of a test is what is left after that of switching tracing on.",
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

    def added(count: int) -> list[float]:
        return [on - off for on, off in zip(taken[count, True], taken[count, False], strict=True)]

    per_test = [(many - one) / (TESTS - 1) for many, one in zip(added(TESTS), added(1), strict=True)]
    untraced = [(many - one) / (TESTS - 1) for many, one in zip(taken[TESTS, False], taken[1, False], strict=True)]
    spread = Spread.of(per_test)
    made.add("an empty test, untraced", Spread.of(untraced).show(1e3, 3), "", "")
    made.add(
        "tracing adds to a test",
        spread.show(1e3, 3),
        f"at most {MOST_PER_TEST}",
        verdict(statistics.median(per_test) * 1e3, MOST_PER_TEST),
    )
    made.add("tracing adds to a session, once", Spread.of(added(1)).show(1e3, 1), "", "")
    return made


def machine_speed() -> float:
    """Milliseconds of CPU for a loop that only counts, to compare machines by."""
    began = time.process_time()
    total = 0
    for number in range(1_000_000):
        total += number
    return (time.process_time() - began) * 1e3
