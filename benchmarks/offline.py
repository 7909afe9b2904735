"""A passing test with 50 tool calls, offline, whole: with the plugin, without it, and with openinference to memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from benchmarks.measure import Ratio, Table, quickest
from benchmarks.others import ROOT

TOOL_CALLS = 50
MOST_MORE = 0.05
MOST_OF_PEER = 0.5
_TAKEN = "OFFLINE_TAKEN"  # the file that a process writes what each test took to
_WARM_UP = 2  # tests
_PROCESSES = 4  # of each way
OURS, WITHOUT, PEER = "pytest-crewai-trace", "-p no:crewai_trace", "openinference, in memory"
_TEST = """
import os
import pytest
from benchmarks.runs import run_crew

if "OFFLINE_PEER" in os.environ:
    from benchmarks.peers import openinference

    @pytest.fixture(autouse=True)
    def spans():
        with openinference() as take:
            yield
            assert len(take()) > {calls}

@pytest.mark.parametrize("number", range({tests}))
def test_it(number):
    run_crew(agents=1, tools=5, tool_calls={calls}, native=True)
"""
_PLUGIN = """
import json, os, time
import pytest

taken = []

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol():
    began = time.process_time()
    result = yield
    taken.append(time.process_time() - began)
    return result

def pytest_unconfigure():
    with open(os.environ["OFFLINE_TAKEN"], "w") as file:
        json.dump(taken, file)
"""


def table(*, rounds: int) -> Table:
    """``rounds`` tests in each of ``_PROCESSES`` processes of each way, in turn."""
    ways = {WITHOUT: ["-p", "no:crewai_trace"], OURS: ["-p", "pytest_crewai_trace.plugin", "--crewai-trace"]}
    if find_spec("openinference.instrumentation.crewai") is not None:
        ways[PEER] = ["-p", "no:crewai_trace"]
    taken: dict[str, list[float]] = {name: [] for name in ways}
    by_process: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_PROCESSES):
        for name, options in ways.items():
            found = _run(options, rounds + _WARM_UP, peer=name == PEER)[_WARM_UP:]
            taken[name] += found
            by_process[name].append(quickest(found))
    least = {name: quickest(of) for name, of in taken.items()}
    more = least[OURS] / least[WITHOUT] - 1
    made = Table(
        f"A passing test with {TOOL_CALLS} tool calls, whole",
        ("", "ms a test", "more than without", "median, ms"),
        note="CPU of setup, call, teardown and all hooks of a test, importing crewAI left out: it takes as long as"
        f" hundreds of them. Of {rounds} tests in each of {_PROCESSES} processes the quickest"
        " quarter; beside it the median of all.",
    )
    for name, value in least.items():
        median = statistics.median(taken[name])
        made.add(name, f"{value * 1e3:.1f}", f"{value / least[WITHOUT] - 1:+.1%}", f"{median * 1e3:.1f}")
    peer = least[PEER] / least[WITHOUT] - 1 if PEER in least else None
    made.promise(
        f"a passing {TOOL_CALLS}-tool-call offline test, whole",
        f"{more:+.1%}",
        f"{PEER} {peer:+.1%}" if peer is not None else f"{PEER}: not installed",
        f"at most {MOST_MORE:+.0%}; less than half of the peer's",
        met=more <= MOST_MORE and (peer is None or more <= peer * MOST_OF_PEER),
        apart=Ratio.of(by_process[OURS], by_process[WITHOUT]).apart,
    )
    return made


def _run(options: list[str], tests: int, *, peer: bool) -> list[float]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "test_offline.py").write_text(_TEST.format(tests=tests, calls=TOOL_CALLS), "utf-8")
        (folder / "timing.py").write_text(_PLUGIN, "utf-8")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CREWAI_")},
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
            "CREWAI_DISABLE_TELEMETRY": "true",
            "CREWAI_TESTING": "true",
            "CREWAI_STORAGE_DIR": str(folder / "storage"),
            _TAKEN: str(folder / "taken.json"),
            **({"OFFLINE_PEER": "1"} if peer else {}),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "timing", "-p", "no:cacheprovider", *options]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the run failed:\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}")
        taken: list[float] = json.loads((folder / "taken.json").read_text("utf-8"))
        return taken
