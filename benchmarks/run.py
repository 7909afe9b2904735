"""``python benchmarks/run.py [--full] [--only PART ...]``: tables, printed and in results.md."""

from __future__ import annotations

import argparse
import compileall
import gc
import logging
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
if Path(sys.path[0]).resolve() == Path(__file__).parent.resolve():
    sys.path[0] = str(ROOT)  # started as a script, not with -m

from benchmarks import expectations, growth, startup  # noqa: E402
from benchmarks.measure import Table  # noqa: E402

PARTS = (
    "cassettes",
    "events",
    "expectations",
    "growth",
    "memory",
    "publish",
    "replies",
    "snapshots",
    "startup",
    "store",
    "viewer",
)
_COMPILED = (
    "pytest_crewai_trace",
    "benchmarks",
    "tests.support",
    "crewai",
    "opentelemetry.sdk",
    "pydantic",
    "pytest",
    "_pytest",
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
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Benchmarks: what tracing costs, beside its peers, in the same run.")
    parser.add_argument("--full", action="store_true", help="four times as many rounds")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--output", type=Path, help="default: benchmarks/results.md, or nothing with --only")
    parser.add_argument("--check", action="store_true", help="fail where a target is missed; machines differ")
    options = parser.parse_args()
    compile_first()
    made = []
    for table in measured(options.only, times=4 if options.full else 1):
        made.append(table)
        print(table.markdown(), flush=True)
    output = options.output or (ROOT / "benchmarks" / "results.md" if tuple(options.only) == PARTS else None)
    if output is not None:
        output.write_text("\n".join([heading(), *(table.markdown() for table in made)]), encoding="utf-8")
    return int(options.check and any("NO" in row for table in made for row in table.rows))


def measured(parts: list[str], *, times: int) -> Iterator[Table]:
    if "startup" in parts:
        yield startup.imports(rounds=10 * times)
        yield startup.tests(rounds=5 * times)
    if "growth" in parts:
        yield growth.table(rounds=2 * times)
    if "expectations" in parts:
        yield expectations.table(rounds=2 * times)
        beside = expectations.peer(rounds=times)
        if beside is not None:
            yield beside
    if "snapshots" in parts:
        from benchmarks import snapshots

        yield from snapshots.tables(full=times > 1)
    if "cassettes" in parts:
        from benchmarks import cassettes

        yield from cassettes.tables(rounds=9 * times)
    if "store" in parts:
        from benchmarks import stored

        yield stored.table(rounds=20 * times)
    if "viewer" in parts:
        from benchmarks import viewer

        yield viewer.table()
    if "publish" in parts:
        from benchmarks import publish

        yield from publish.tables(rounds=5 * times)
    if {"events", "memory", "replies"}.isdisjoint(parts):
        return
    with tempfile.TemporaryDirectory() as folder:
        quiet(folder)
        from benchmarks import event_cost, kept, replies

        gc.collect()
        gc.freeze()  # else each collection goes over all of crewAI
        if "events" in parts:
            yield from event_cost.tables(rounds=40 * times)
        if "memory" in parts:
            yield kept.table()
        if "replies" in parts:
            yield replies.table(rounds=10 * times)


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
    versions = [f"Python {platform.python_version()}"]
    for name in _VERSIONS:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return "\n".join(
        [
            "# Results of the benchmarks",
            "",
            (
                "Written by `benchmarks/run.py`. Times are CPU time of the process less that of the garbage collector,"
                " median ± half of the interquartile range; the ratios are what carries over to other machines."
            ),
            "",
            f"- {datetime.now(timezone.utc):%Y-%m-%d}",
            (
                f"- {platform.system()} {platform.machine()}, {processor()}, {os.cpu_count()} cores{load};"
                f" a million additions take {startup.machine_speed():.0f} ms"
            ),
            f"- {', '.join(versions)}",
            "",
        ]
    )


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


if __name__ == "__main__":
    sys.exit(main())
