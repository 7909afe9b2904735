"""Everything a change is checked with: ``nox -l`` lists it. Each session installs what it needs itself."""

from __future__ import annotations

import difflib
import json
import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.2.9"  # the first with requires=
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
nox.options.sessions = ["lint", "typecheck", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")["project"]
DEV = PROJECT["optional-dependencies"]["dev"]
OLDEST, NEWEST = "1.13.0", "newest"
CREWAI = [OLDEST, "1.14.7", "1.15.0", "1.15.21", "1.15.22", NEWEST]
# Its extra for LiteLLM and crewAI itself want different versions of python-dotenv and openai.
WITHOUT_PROVIDERS = "1.14.7"
EXAMPLES = "examples"
BENCH = ("pydantic-evals", "openinference-instrumentation-crewai", "orjson")


def requirement(tool: str) -> str:
    """The tool with the bounds that pyproject.toml gives it."""
    return next(line for line in DEV if re.match(rf"{tool}\b", line))


@nox.session
def tests(session: nox.Session) -> None:
    """The tests: ``nox -s tests -- -k flow``."""
    install(session, "-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def scoreboard(session: nox.Session) -> None:
    """The tests that carry a number of docs/scoreboard.md, and the table: ``nox -s scoreboard -- -k S36``."""
    install(session, "-e", ".[test]")
    session.run("pytest", "-m", "scoreboard", "--scoreboard", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """The tests, with the lowest version of everything that pyproject.toml names."""
    if session.venv_backend != "uv":
        session.error("only uv can resolve to the lowest versions: pip install uv")
    install(session, "--resolution", "lowest-direct", "-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff's rules and its format."""
    session.install(requirement("ruff"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Mypy, strict, with crewAI's own types."""
    session.install("-e", ".", requirement("mypy"))
    session.run("mypy", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The code blocks of README and docs, run."""
    install(session, "-e", ".[test]")
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session
def repeat(session: nox.Session) -> None:
    """Twenty agents at once, fifty times: always the same trace."""
    install(session, "-e", ".[test]")
    session.run("pytest", "tests/contract", "-k", "twenty_parallel", *session.posargs, env={"CREWAI_TRACE_RUNS": "50"})


@nox.session
def bench_peers(session: nox.Session) -> None:
    """An environment for what would change the one that is measured: `bench` asks for it itself."""
    install(session, "-e", ".")
    for peer in ("logfire", "langsmith", "deepeval", "opik"):
        try:
            install(session, peer)
        except CommandFailed:
            session.warn(f"{peer} cannot be installed beside this crewAI: its rows are left out")


@nox.session(requires=["bench_peers"])
def bench(session: nox.Session) -> None:
    """The benchmarks: ratios, not times; writes benchmarks/results.md and docs/performance.md. Minutes."""
    install(session, "-e", ".[test]", *BENCH)  # peers, of the benchmarks only
    peers = Path(session.virtualenv.location).with_name("bench_peers")
    found = next((path for path in (peers / "bin" / "python", peers / "Scripts" / "python.exe") if path.exists()), None)
    environment = {} if found is None else {"CREWAI_TRACE_PEERS": str(found.absolute())}
    session.run("python", "benchmarks/run.py", *session.posargs, env=environment)


@nox.session
def interference(session: nox.Session) -> None:
    """Whether outcomes are the same with the plugin on and off: suites of all styles, the examples, the unit tests."""
    install(session, "-e", ".[test]")
    every = {"CREWAI_TRACE_INTERFERENCE": "1"}
    session.run("pytest", "tests/plugin/test_interference.py", env=every)
    off = {"examples": [], "tests/unit": ["-p", "no:crewai_trace"]}  # the examples ask for its fixtures
    for suite, without in off.items():
        told = []
        for way, arguments in (("on", ["--crewai-trace"]), ("off", without)):
            junit = session.cache_dir.resolve() / f"interference-{way}.xml"
            session.run("pytest", suite, *arguments, f"--junitxml={junit}", success_codes=[0, 1])
            told.append(outcomes(junit))
        if told[0] != told[1]:
            session.error(f"{suite}: {sorted(set(told[0].items()) ^ set(told[1].items()))}")


@nox.session
def audit(session: nox.Session) -> None:
    """Known vulnerabilities in what the plugin needs; asks PyPI about each package."""
    install(session, *PROJECT["dependencies"], "pip-audit")
    session.run("pip-audit", "--local", "--strict", *session.posargs)  # strict: what could not be asked about fails


@nox.session
def soak(session: nox.Session) -> None:
    """2,000 traced tests in one process: writes docs/soak.md and its curves. Half an hour."""
    install(session, "-e", ".[test]")
    session.run("python", "-m", "benchmarks.soak", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """The tests of tests/fuzz with many examples, again and again for so many minutes: ``nox -s fuzz -- 30``."""
    minutes, pytest_args = (session.posargs[0], session.posargs[1:]) if session.posargs else ("30", [])
    install(session, "-e", ".[test]")
    junit = session.cache_dir.resolve() / "fuzz.xml"
    command = ("pytest", "tests/fuzz", "-o", "faulthandler_timeout=0", f"--junitxml={junit}", *pytest_args)
    end, cases = time.monotonic() + 60 * float(minutes), 0
    while time.monotonic() < end:
        session.run(*command, env={"CREWAI_TRACE_FUZZ": "1"})
        found = ElementTree.parse(junit).getroot().iterfind(".//property[@name='cases']")
        cases += sum(int(one.get("value", 0)) for one in found)
        session.log(f"{cases:,} cases so far")


@nox.session
@nox.parametrize("crewai", CREWAI, ids=CREWAI)
def compat(session: nox.Session, crewai: str) -> None:
    """Contract tests and examples on each crewAI: ``nox -s compat -- 1.13.0 newest -k flow``."""
    picked, pytest_args = split(session.posargs)
    if crewai not in picked:
        session.skip("not picked")
    session.notify("compat_table", posargs=[])
    upgrade = ["--upgrade", "crewai"] if crewai == NEWEST else [f"crewai=={crewai}"]
    install(session, "-e", ".[test]" if crewai == WITHOUT_PROVIDERS else ".[test,providers]", *upgrade)
    found = session.run("python", "-c", "from importlib.metadata import version; print(version('crewai'))", silent=True)
    folder = session.cache_dir.resolve() / f"compat-{crewai}"
    shutil.rmtree(folder, ignore_errors=True)
    trees, junit = folder / "trees", folder / "junit.xml"
    result = RESULTS[crewai] = Result(version=str(found).strip())
    try:
        session.run(
            *("python", "-m", "pytest", "tests/contract", EXAMPLES, "-p", "tests.support.trees", f"--junitxml={junit}"),
            *pytest_args,
            env={"CREWAI_TREES": str(trees)},
            success_codes=[0, 5],  # 5: -k left no test
        )
    finally:
        result.read(junit, trees)


@nox.session(venv_backend="none")
def compat_table(session: nox.Session) -> None:
    """What the compat sessions of this run found; they ask for it themselves."""
    if not RESULTS:
        session.error("nothing to show: run nox -s compat")
    reference = next(iter(RESULTS.values()))
    rows = [("crewAI", "passed", "failed", "skipped", "seconds", "example trees")]
    differences: list[str] = []
    for result in RESULTS.values():
        different = result.different_from(reference)
        verdict = f"{len(different)} different" if different else f"{len(result.trees)} equal"
        rows.append((result.version, *(str(result.counts.get(column, "-")) for column in rows[0][1:5]), verdict))
        differences += different
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)), flush=True)
    if differences:
        print(*differences, sep="\n", flush=True)
        session.error(f"example trees that differ from those on crewAI {reference.version}: {len(differences)}")


@dataclass
class Result:
    """One run on one crewAI."""

    version: str
    counts: dict[str, int] = field(default_factory=dict)
    trees: dict[str, str] = field(default_factory=dict)

    def read(self, junit: Path, trees: Path) -> None:
        """Take in what pytest wrote, as far as it came."""
        if junit.exists():
            suite = ElementTree.parse(junit).getroot()[0]
            total, failures, errors, skipped = (
                int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")
            )
            self.counts = {
                "passed": total - failures - errors - skipped,
                "failed": failures + errors,
                "skipped": skipped,
                "seconds": round(float(suite.get("time", 0))),
            }
        for path in sorted(trees.glob("*.json")):
            test = json.loads(path.read_text("utf-8"))
            if test["nodeid"].startswith(f"{EXAMPLES}/"):
                self.trees[test["nodeid"]] = test["tree"]

    def different_from(self, other: Result) -> list[str]:
        """A diff for each example whose tree is not the other's."""
        names = sorted({*self.trees, *other.trees})
        return [
            "\n".join(
                difflib.unified_diff(
                    other.trees.get(name, "(no trace)").splitlines(),
                    self.trees.get(name, "(no trace)").splitlines(),
                    f"{name} on crewAI {other.version}",
                    f"{name} on crewAI {self.version}",
                    lineterm="",
                )
            )
            for name in names
            if self.trees.get(name) != other.trees.get(name)
        ]


RESULTS: dict[str, Result] = {}


def outcomes(junit: Path) -> dict[str, str]:
    """How each test ended."""
    ended = {}
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        tags = {child.tag for child in case} & {"error", "failure", "skipped"}
        ended[f"{case.get('classname')}::{case.get('name')}"] = min(tags, default="passed")
    return ended


def install(session: nox.Session, *requirements: str) -> None:
    """Install, and compile to byte code before anything is timed: pip does, uv has to be asked."""
    session.install(*requirements, env={"UV_COMPILE_BYTECODE": "1"})


def split(posargs: list[str]) -> tuple[list[str], list[str]]:
    """The crewAI versions that stand first, and pytest's arguments after them."""
    names = []
    while posargs and re.fullmatch(r"\d+(\.\d+)*|oldest|newest", posargs[0]):
        name, *posargs = posargs
        names.append(OLDEST if name == "oldest" else name)
    if unknown := set(names) - set(CREWAI):
        raise ValueError(f"no compat session for crewAI {', '.join(sorted(unknown))}; there are {', '.join(CREWAI)}")
    return names or CREWAI, posargs
