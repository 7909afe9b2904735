"""Thousands of traced tests in one process: does memory grow, is anything left open, does it get slower?

``python -m benchmarks.soak`` runs them, with the plugin and without, and writes docs/soak.md and docs/soak.svg. As a
pytest plugin (``-p benchmarks.soak``) the same module takes the samples in the processes that it starts.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.drawing import Panel, picture
from benchmarks.measure import Table, verdict

ROOT = Path(__file__).parents[1]
_SAMPLES = "SOAK_SAMPLES"  # where a process writes its samples, and each how many tests it takes one
_MOST_KB_A_TEST = 8.0  # what pytest and we may remember of a test that has ended
_MOST_SLOWER = 1.05  # second half over first, against the same without the plugin
_TEST = """
import pytest
from benchmarks.runs import run_crew

@pytest.mark.parametrize("number", range({tests}))
def test_soak(number):
    for _ in range({kickoffs}):
        run_crew(agents=1, tools=1, tool_calls=1)
"""


@dataclass(frozen=True)
class Sample:
    """The process after so many tests. Bytes; ``cpu`` in seconds since it began."""

    tests: int
    cpu: float
    resident: int
    allocated: int
    threads: int
    files: int


# -- in the process that is measured ----------------------------------------------------------------------------------


_finished = 0


def pytest_runtest_logfinish() -> None:
    global _finished  # noqa: PLW0603 - of a process that does nothing else
    _finished += 1
    path, every = os.environ[_SAMPLES].rsplit(os.pathsep, 1)
    if _finished % int(every) == 0:
        if "SOAK_ALLOCATED" in os.environ and not tracemalloc.is_tracing():
            tracemalloc.start()  # not before: importing takes minutes with it
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{json.dumps(asdict(_sample()))}\n")


def _sample() -> Sample:
    cpu = time.process_time()
    gc.collect()
    return Sample(
        tests=_finished,
        cpu=cpu,
        resident=int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE"),
        allocated=tracemalloc.get_traced_memory()[0],
        threads=threading.active_count(),
        files=len(os.listdir("/proc/self/fd")),
    )


# -- around it --------------------------------------------------------------------------------------------------------


def soaked(tests: int, kickoffs: int, *, traced: bool, allocated: bool = False) -> list[Sample]:
    """The samples of one run, a hundred of them."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "samples"
        (Path(place) / "test_soak.py").write_text(_TEST.format(tests=tests, kickoffs=kickoffs), encoding="utf-8")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CREWAI_")},
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(ROOT),
            "CREWAI_DISABLE_TELEMETRY": "true",
            "CREWAI_STORAGE_DIR": str(Path(place) / "storage"),
            _SAMPLES: f"{path}{os.pathsep}{max(1, tests // 100)}",
            **({"SOAK_ALLOCATED": "1"} if allocated else {}),
        }
        ours = ("-p", "pytest_crewai_trace.plugin", "--crewai-trace", "--crewai-trace-keep=all") if traced else ()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "benchmarks.soak", "-p", "no:cacheprovider", *ours]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the run failed:\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}")
        return [Sample(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def after_warm_up(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Without the first fifth, in which modules are imported and caches filled."""
    return samples[len(samples) // 5 :]


def growth(samples: Sequence[Sample], name: str) -> float:
    """Bytes a test, after the warm-up."""
    kept = after_warm_up(samples)
    return statistics.linear_regression([one.tests for one in kept], [getattr(one, name) for one in kept]).slope


def slowing(samples: Sequence[Sample]) -> float:
    """CPU of the second half of the tests over that of the first, after the warm-up."""
    kept = after_warm_up(samples)
    middle = kept[len(kept) // 2]
    first, second = middle.cpu - kept[0].cpu, kept[-1].cpu - middle.cpu
    return (second / (kept[-1].tests - middle.tests)) / (first / (middle.tests - kept[0].tests))


def table(traced: Sequence[Sample], plain: Sequence[Sample], allocated: tuple[Sequence[Sample], ...]) -> Table:
    made = Table(
        "What a test leaves behind",
        ("", "with the plugin", "without", "the plugin's part", "target", "met"),
        note="Slopes over the tests after a fifth of them as warm-up; the rest is pytest's and crewAI's own.",
    )
    for title, name, (ours, theirs) in (
        ("resident memory, KB a test", "resident", (traced, plain)),
        ("allocated by Python (tracemalloc), KB a test", "allocated", allocated),
    ):
        with_us, without = growth(ours, name) / 1024, growth(theirs, name) / 1024
        part = with_us - without
        most = f"at most {_MOST_KB_A_TEST:g}"
        made.add(title, *(f"{kb:.2f}" for kb in (with_us, without, part)), most, verdict(part, _MOST_KB_A_TEST))
    with_us, without = slowing(traced), slowing(plain)
    ratio = with_us / without
    target = f"at most {_MOST_SLOWER}"
    made.add("CPU, second half / first", f"{with_us:.3f}", f"{without:.3f}", f"{ratio:.3f}", target,
             verdict(ratio, _MOST_SLOWER))  # fmt: skip
    for title, name in (("threads, end - warm", "threads"), ("open files, end - warm", "files")):
        more = [getattr(run[-1], name) - getattr(after_warm_up(run)[0], name) for run in (traced, plain)]
        made.add(title, *more, more[0] - more[1], "0", verdict(more[0] - more[1], 0))
    return made


# -- the picture ------------------------------------------------------------------------------------------------------


def curves(traced: Sequence[Sample], plain: Sequence[Sample]) -> str:
    """Over the tests: resident memory, and CPU of a test."""
    runs = {"with the plugin": traced, "without": plain}
    memory = {name: [(float(s.tests), s.resident / 2**20) for s in run] for name, run in runs.items()}
    cpu = {
        name: [(float(b.tests), (b.cpu - a.cpu) / (b.tests - a.tests) * 1e3) for a, b in pairwise(run)]
        for name, run in runs.items()
    }
    return picture([Panel("resident memory, MB", memory), Panel("CPU of a test, ms", cpu)])


def page(made: Table, tests: int, kickoffs: int, allocated: int) -> str:
    runs = "a run" if kickoffs == 1 else f"{kickoffs} runs"
    return f"""# Soak

{tests:,} traced tests in one process, each with {runs} of a crew ({tests * kickoffs:,} kickoffs: one agent,
one tool call, a scripted model), every trace kept; and the same without the plugin. What Python has allocated is of
{allocated:,} such tests, in processes of their own, as counting makes all else slower. `nox -s soak` writes this page.

![Memory and CPU over the tests](soak.svg)

{made.markdown().strip()}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tests", type=int, default=2_000)
    parser.add_argument("--kickoffs", type=int, default=5, help="of each test")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="the folder to write soak.md and soak.svg to")
    options = parser.parse_args()
    traced, plain = (soaked(options.tests, options.kickoffs, traced=on) for on in (True, False))
    fewer = max(100, options.tests // 10)
    counted = tuple(soaked(fewer, options.kickoffs, traced=on, allocated=True) for on in (True, False))
    made = table(traced, plain, counted)
    (options.docs / "soak.svg").write_text(curves(traced, plain), encoding="utf-8")
    (options.docs / "soak.md").write_text(page(made, options.tests, options.kickoffs, fewer), encoding="utf-8")
    print(made.markdown())
    return 1 if any(row[-1] == "NO" for row in made.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
