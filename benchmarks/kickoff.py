"""CPU of a whole kickoff, each way of tracing it against no tracing in the same round.

As ``python -m benchmarks.kickoff NAME`` it is one process of a peer that cannot be switched off again: for each line
that it reads it runs a kickoff, and says what that took.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from benchmarks.measure import MORE, Case, Cpu, Ratio, Table, in_two_groups, seconds
from benchmarks.others import ROOT, peers_python

WITHOUT, AGAIN, OURS = "no tracing", "no tracing, once more", "pytest-crewai-trace"
TOOL_CALLS = 10
ELSEWHERE = ("deepeval", "opik")


def table(*, rounds: int) -> Table:
    from benchmarks.peers import tracers

    quick = {WITHOUT: _kickoff(nullcontext), AGAIN: _kickoff(nullcontext), OURS: _kickoff(_ours)}
    slow = {name: _kickoff(way) for name, way in tracers().items()}
    taken, beside = in_two_groups(rounds, WITHOUT, quick, slow)
    ratios = {
        name: Ratio.of(seconds(cpus), seconds(group[WITHOUT]))
        for group in (taken, beside)
        for name, cpus in group.items()
    }
    made = Table(
        "A whole kickoff",
        ("", "of no tracing", "two halves of the rounds apart"),
        note=f"CPU, two agents with {TOOL_CALLS} native tool calls each, {MORE * rounds} rounds, {rounds} of the"
        " peers; the trace built. No tracing beside itself is how much of it is noise.",
    )
    for name, ratio in ratios.items():
        if name != WITHOUT:
            made.add(name, f"{ratio.median:.3f}", f"{ratio.apart:.1%}")
    shown = [f"{name} x {ratios[name].median:.2f}" for name in tracers()]
    for name, ratio in _elsewhere(rounds):
        made.add(
            name,
            ratio if isinstance(ratio, str) else f"{ratio.median:.3f}",
            "" if isinstance(ratio, str) else f"{ratio.apart:.1%}",
        )
        shown.append(f"{name} {ratio}" if isinstance(ratio, str) else f"{name} x {ratio.median:.2f}")
    noise = _noise(seconds(taken[AGAIN]), seconds(taken[WITHOUT]))
    made.promise(
        "the whole kickoff, CPU",
        f"x {ratios[OURS].median:.3f}",
        f"no tracing x {ratios[AGAIN].median:.3f}; {'; '.join(shown)}",
        f"not to be told from no tracing, whose rounds are {noise:.1%} from one another",
        met=ratios[OURS].median - 1 <= noise,
        apart=ratios[OURS].apart,
    )
    return made


def _noise(one: list[float], other: list[float]) -> float:
    """How far a round without tracing lies from another one, as a share: the middle of all distances."""
    return sorted(abs(a / b - 1) for a, b in zip(one, other, strict=True))[len(one) // 2]


def _kickoff(way: Callable[[], AbstractContextManager[Any]], *, handlers: bool = False) -> Case:
    from benchmarks.runs import in_a_context_of_its_own, run_crew, silent, undisturbed

    def run() -> Cpu:
        with silent() if handlers else undisturbed(), way() as finish:

            def kickoff() -> Cpu:
                with Cpu() as cpu:
                    run_crew(tool_calls=TOOL_CALLS)
                    if finish is not None:
                        finish()
                return cpu

            return in_a_context_of_its_own(kickoff)

    return run


@contextmanager
def _ours() -> Iterator[Callable[[], object]]:
    from pytest_crewai_trace.capture.bus import Recording
    from pytest_crewai_trace.capture.spans import trace_of
    from pytest_crewai_trace.trace.trace import TraceOrigin

    recording = Recording(warn=lambda message: None)
    recording.start()
    recorder = recording.begin()
    try:
        yield lambda: trace_of(recorder, TraceOrigin())
    finally:
        recording.end(recorder)
        recording.stop()


# -- in the Python of the peers ---------------------------------------------------------------------------------------


def _elsewhere(rounds: int) -> Iterator[tuple[str, Ratio | str]]:
    """The ratio of each peer that has an environment of its own, or a word on why there is none.

    All of them run at once, and one at a time: in each round every process has its turn.
    """
    python = peers_python()
    if python is None:
        yield from ((name, "(no environment for it)") for name in ELSEWHERE)
        return
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        processes = {name: stack.enter_context(_Process(python, name, folder)) for name in ("none", *ELSEWHERE)}
        taken: dict[str, list[float]] = {name: [] for name in processes}
        for number in range(rounds + 2):  # two to warm up
            for name in [name for name in taken if processes[name].said is None]:
                seconds = processes[name].kickoff()
                if number > 1 and seconds is not None:
                    taken[name].append(seconds)
        for name in ELSEWHERE:
            said = processes[name].said or processes["none"].said
            yield name, f"(does not run beside this crewAI: {said})" if said else Ratio.of(taken[name], taken["none"])


class _Process:
    """A peer's process. ``said`` is its last word, once it has died."""

    def __init__(self, python: Path, name: str, folder: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.kickoff", name],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **_SILENT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.said: str | None = None

    def __enter__(self) -> _Process:
        return self

    def kickoff(self) -> float | None:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with suppress(BrokenPipeError):
            stdin.write("\n")
            stdin.flush()
        answer = stdout.readline()
        if answer:
            return float(answer)
        self._errors.seek(0)
        self.said = ([line.strip() for line in self._errors if line.strip()] or ["no word"])[-1][:100]
        return None

    def __exit__(self, *exception: object) -> None:
        with suppress(BrokenPipeError):
            self._process.communicate("")
        self._errors.close()


_SILENT = {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "YES",
    "CONFIDENT_TRACE_VERBOSE": "NO",
    "CONFIDENT_TRACE_FLUSH": "NO",
    "OPIK_TRACK_DISABLE": "false",
    "OPIK_URL_OVERRIDE": "http://127.0.0.1:9/",  # nothing listens there
    "OPIK_SENTRY_ENABLE": "false",
}


def _switch_on(name: str) -> None:
    if name == "deepeval":
        from deepeval.integrations.crewai import instrument_crewai

        instrument_crewai()
    elif name == "opik":
        from opik.integrations.crewai import track_crewai

        track_crewai(project_name="benchmark")


def _main(name: str) -> None:
    from benchmarks.run import quiet

    answers = os.fdopen(os.dup(1), "w")  # crewAI and the peer print too
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as folder:
        quiet(folder)
        _switch_on(name)
        kickoff = _kickoff(nullcontext, handlers=True)
        for _ in sys.stdin:
            answers.write(f"{kickoff().seconds}\n")
            answers.flush()


if __name__ == "__main__":
    _main(sys.argv[1])
