"""``python benchmarks/run.py [--full] [--only PART ...]``: tables, printed and in results.md, and docs/performance.md.

A part that fails is named, and the others are measured all the same.
"""

from __future__ import annotations

import argparse
import compileall
import gc
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
if Path(sys.path[0]).resolve() == Path(__file__).parent.resolve():
    sys.path[0] = str(ROOT)  # started as a script, not with -m

from benchmarks import page  # noqa: E402
from benchmarks.measure import Table  # noqa: E402
from benchmarks.others import peers_python  # noqa: E402

_COMPILED = (
    "pytest_crewai_trace",
    "benchmarks",
    "tests.support",
    "crewai",
    "opentelemetry.sdk",
    "pydantic",
    "pytest",
    "_pytest",
    "syrupy",
    "xdist",
    "openinference",
    "pydantic_evals",
)
_VERSIONS = (
    "pytest-crewai-trace",
    "crewai",
    "pytest",
    "pydantic",
    "wrapt",
    "opentelemetry-sdk",
    "syrupy",
    "pytest-xdist",
    "pydantic-evals",
    "openinference-instrumentation-crewai",
    "vcrpy",
    "orjson",
    "pytest-html",
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Benchmarks: what tracing costs, beside its peers, in the same run.")
    parser.add_argument("--full", action="store_true", help="four times as many rounds, and the largest sizes")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS])
    parser.add_argument("--output", type=Path, help="default: benchmarks/results.md, or nothing with --only")
    parser.add_argument("--docs", type=Path, help="the folder of performance.md; default: docs, or none with --only")
    parser.add_argument("--check", action="store_true", help="fail where a target is missed; machines differ")
    options = parser.parse_args()
    compile_first()
    made: list[Table] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        quiet(folder)
        for part, tables_of in PARTS.items():
            if part not in options.only:
                continue
            began = time.monotonic()
            try:
                for table in tables_of(4 if options.full else 1):
                    made.append(table)
                    print(table.markdown(), flush=True)
            except Exception:
                traceback.print_exc()
                failed.append(part)
            print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    promises = [promise for table in made for promise in table.promises]
    print(page.promised(promises))
    everything = len(options.only) == len(PARTS)
    output = options.output or (ROOT / "benchmarks" / "results.md" if everything else None)
    if output is not None:
        output.write_text(results(made, failed), encoding="utf-8")
    docs = options.docs or (ROOT / "docs" if everything else None)
    if docs is not None:
        page.write(docs, promises, made, measured_on())
    print(*(f"failed: {part}" for part in failed), sep="\n", file=sys.stderr)
    return int(bool(failed) or (options.check and not all(promise.met for promise in promises)))


# Each gives its tables, with so many times the usual rounds; what needs no crewAI comes first.


def _startup(times: int) -> Iterator[Table]:
    from benchmarks import startup

    yield startup.imports(rounds=8 * times)
    yield startup.collecting(rounds=16 * times)
    yield startup.tests(rounds=12 * times)


def _growth(times: int) -> Iterator[Table]:
    from benchmarks import growth

    yield growth.table(rounds=times)


def _trees(times: int) -> Iterator[Table]:
    from benchmarks import trees

    yield from trees.tables(full=times > 1)


def _expectations(times: int) -> Iterator[Table]:
    from benchmarks import expectations

    yield expectations.table(rounds=times)


def _snapshots(times: int) -> Iterator[Table]:
    from benchmarks import snapshots

    yield from snapshots.tables(full=times > 1)


def _cassettes(times: int) -> Iterator[Table]:
    from benchmarks import cassettes

    yield from cassettes.tables(rounds=16 * times)


def _store(times: int) -> Iterator[Table]:
    from benchmarks import stored

    yield stored.files(rounds=20 * times)
    yield stored.table(rounds=20 * times)


def _redaction(times: int) -> Iterator[Table]:
    from benchmarks import redaction

    yield redaction.table(rounds=6 * times)


def _export(times: int) -> Iterator[Table]:
    from benchmarks import export

    yield export.table(rounds=4 * times)


def _viewer(times: int) -> Iterator[Table]:
    from benchmarks import viewer

    yield viewer.table()


def _publish(times: int) -> Iterator[Table]:
    from benchmarks import publish

    yield from publish.tables(rounds=3 * times)


def _offline(times: int) -> Iterator[Table]:
    from benchmarks import offline

    yield offline.table(rounds=6 * times)


def _kickoff(times: int) -> Iterator[Table]:
    from benchmarks import kickoff

    _still()
    yield kickoff.table(rounds=16 * times)


def _events(times: int) -> Iterator[Table]:
    from benchmarks import event_cost

    _still()
    yield from event_cost.tables(rounds=30 * times)


def _replies(times: int) -> Iterator[Table]:
    from benchmarks import replies

    _still()
    yield replies.table(rounds=6 * times)


def _memory(times: int) -> Iterator[Table]:
    from benchmarks import kept

    _still()
    yield kept.table(full=times > 1)


PARTS: dict[str, Callable[[int], Iterator[Table]]] = {
    "startup": _startup,
    "growth": _growth,
    "trees": _trees,
    "expectations": _expectations,
    "snapshots": _snapshots,
    "cassettes": _cassettes,
    "store": _store,
    "redaction": _redaction,
    "export": _export,
    "viewer": _viewer,
    "publish": _publish,
    "offline": _offline,
    "events": _events,
    "kickoff": _kickoff,
    "replies": _replies,
    "memory": _memory,
}


def _still() -> None:
    """Import crewAI, and keep collections from going over all of it."""
    import crewai  # noqa: F401

    gc.collect()
    gc.freeze()


def results(made: list[Table], failed: list[str]) -> str:
    promises = [promise for table in made for promise in table.promises]
    told = [f"Failed, and not measured: {', '.join(failed)}.", ""] if failed else []
    return "\n".join([heading(), *told, page.promised(promises), "", *(table.markdown() for table in made)])


def quiet(folder: str) -> None:
    """crewAI without uploads, prompts and leftovers; before it is imported."""
    os.environ.update(
        CREWAI_DISABLE_TELEMETRY="true",
        CREWAI_TRACING_ENABLED="false",
        CREWAI_TESTING="true",
        CREWAI_STORAGE_DIR=folder,
    )
    logging.disable(logging.WARNING)


def compile_first() -> None:
    """Byte-compile what is measured; without it, the first import takes twice as long."""
    for name in _COMPILED:
        spec = find_spec(name)
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            compileall.compile_dir(folder, quiet=2)


def heading() -> str:
    return f"""# Results of the benchmarks

Written by `benchmarks/run.py`. Times are CPU time of the process less that of the garbage collector, median ± half of
the interquartile range; the ratios are what carries over to other machines. Two runs: the rounds of every case are
halved, and the ratios of the halves compared; over 15 % the row is noisy.

{measured_on()}
"""


def measured_on() -> str:
    """Date, machine and versions, as a list."""
    from benchmarks.startup import machine_speed

    versions = [f"Python {platform.python_version()}"]
    for name in _VERSIONS:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    python = peers_python()
    if python is not None:
        command = [str(python), "-c", _NAMES, *_PEERS]
        versions += subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    machine = f"{platform.system()} {platform.machine()}, {processor()}, {os.cpu_count()} cores{load}"
    return "\n".join(
        [
            f"- {datetime.now(timezone.utc):%Y-%m-%d}",
            f"- {machine}; a million additions take {machine_speed():.0f} ms",
            f"- {', '.join(versions)}",
        ]
    )


_PEERS = ("logfire", "langsmith", "deepeval", "opik")
_NAMES = """
import sys
from importlib.metadata import PackageNotFoundError, version
for name in sys.argv[1:]:
    try:
        print(name, version(name))
    except PackageNotFoundError:
        pass
"""


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


if __name__ == "__main__":
    sys.exit(main())
