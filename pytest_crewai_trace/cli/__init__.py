"""The command ``crewai-trace``: looks at stored traces. It never imports crewAI."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from pytest_crewai_trace.cli.places import NothingFoundError
from pytest_crewai_trace.errors import CrewaiTraceError
from pytest_crewai_trace.installed import version_of
from pytest_crewai_trace.snapshot.options import LEVELS
from pytest_crewai_trace.trace.semconv import KINDS

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code.

    0, 1 where what was asked for is not there or not so, 2 for wrong arguments, 3 where
    CrewAI AMP refuses the credential, or there is none.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that does not know a character of a model
    given = _parser().parse_args(arguments)
    try:
        command: Command = given.command
        code = command(given)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except (NothingFoundError, CrewaiTraceError) as error:
        print(f"crewai-trace: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(f"crewai-trace: {error.strerror or error}{where}", file=sys.stderr)
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crewai-trace", description="Looks at the traces that pytest --crewai-trace kept."
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {version_of('pytest-crewai-trace') or '(not installed)'}"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    show = _add(
        commands, "show", _show, "the trees of traces; without an argument, of the tests of the last run that failed"
    )
    show.add_argument("what", nargs="*", metavar="PATH|TEST", help="trace files, folders, or parts of test ids")
    show.add_argument("--kind", choices=KINDS, metavar="KIND", help=f"only spans of this kind: {', '.join(KINDS)}")
    show.add_argument("--agent", metavar="ROLE", help="only spans of this agent")
    show.add_argument("--full", action="store_true", help="arguments, results, messages and tracebacks, whole")
    show.add_argument("--json", action="store_true", help="as JSON")

    listed = _add(commands, "list", _list, "the tests of the last run, a line each")
    listed.add_argument("what", nargs="*", metavar="PATH|TEST", help="trace files, folders, or parts of test ids")
    listed.add_argument("--all", action="store_true", help="of all runs")
    listed.add_argument("--failed", action="store_true", help="only those that somebody has to look at")
    listed.add_argument("--json", action="store_true", help="as JSON lines")

    diff = _add(
        commands, "diff", _diff, "what two traces, or the tests of two runs, did differently; 1 if behaviour did"
    )
    diff.add_argument(
        "sides",
        nargs="*",
        metavar="A B",
        help="a trace file, a folder, the name of a run, or a part of a test's id; default: the last two runs",
    )
    diff.set_defaults(wrong=diff.error)
    diff.add_argument(
        "--level", choices=LEVELS, default="calls", help="how much is compared, as in snapshots (default: calls)"
    )
    diff.add_argument("--full", action="store_true", help="the trees too, where more than one test is compared")

    merge = _add(commands, "merge", _merge, "the traces of several folders, such as the shards of a CI run, in one")
    merge.add_argument("folders", nargs="+", metavar="DIR")
    merge.add_argument("-o", "--output", required=True, metavar="DIR")
    merge.add_argument("--force", action="store_true", help="also into a folder that holds other things")

    html = _add(commands, "html", _html, "the viewer: one HTML file that shows traces in a browser")
    html.add_argument("folders", nargs="*", metavar="DIR", help="default: the last run in the trace folder")
    html.add_argument("-o", "--output", required=True, metavar="FILE")
    html.add_argument("--force", action="store_true", help="replace a file that is there and is no viewer")

    export = _add(commands, "export", _export, "traces for other programs")
    export.add_argument("what", nargs="*", metavar="PATH|TEST", help="trace files, folders, or parts of test ids")
    export.add_argument("--format", required=True, choices=("otlp-json", "chrome", "jsonl"))
    export.add_argument("--all", action="store_true", help="of all runs")
    export.add_argument("-o", "--output", metavar="FILE", help="default: standard output")
    export.add_argument("--force", action="store_true", help="replace a file that is there")

    stats = _add(commands, "stats", _stats, "tokens, cost and time by agent, tool, model and test")
    stats.add_argument("what", nargs="*", metavar="PATH|TEST", help="trace files, folders, or parts of test ids")
    stats.add_argument(
        "--by", action="append", choices=("agent", "tool", "model", "test"), help="only this; may be repeated"
    )
    stats.add_argument("--top", type=_number, default=10, metavar="N", help="rows of each table (default: 10)")
    stats.add_argument("--all", action="store_true", help="of all runs")
    stats.add_argument("--json", action="store_true", help="as JSON")

    publish = _add(
        commands, "publish", _publish, "send to CrewAI AMP what runs with --crewai-trace-publish kept for it"
    )
    publish.add_argument("folders", nargs="*", metavar="DIR", help="default: the trace folder")
    publish.add_argument(
        "--which", choices=("failed", "all"), default="all", help="only those of failed tests (default: all)"
    )
    publish.add_argument(
        "--content",
        choices=("kept", "none"),
        default="kept",
        help="none: only structure, names, times, tokens and verdicts (default: what was kept)",
    )
    publish.add_argument("--dry-run", action="store_true", help="print what would be sent, as JSON, and send nothing")
    publish.add_argument("--anonymous", action="store_true", help="without a credential")
    publish.add_argument(
        "--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="the most that it takes (default: 30)"
    )

    doctor = _add(commands, "doctor", _doctor, "what is installed, what is on and why, and why a trace may not appear")
    doctor.add_argument("--offline", action="store_true", help="ask no server")
    for command in (show, listed, diff, export, stats):
        command.add_argument(
            "--dir", metavar="DIR", help="the trace folder (default: CREWAI_TRACE_DIR or .crewai-traces)"
        )
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, command: Command, text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(command=command)
    return parser


def _number(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; valid: a number from 1")
    return number


def _seconds(text: str) -> float:
    from pytest_crewai_trace.publish.options import checked_seconds

    try:
        return checked_seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _show(given: argparse.Namespace) -> int:
    from pytest_crewai_trace.cli.show import show

    return show(given.what, given.dir, kind=given.kind, agent=given.agent, full=given.full, as_json=given.json)


def _list(given: argparse.Namespace) -> int:
    from pytest_crewai_trace.cli.show import listing

    return listing(given.what, given.dir, all_runs=given.all, failed=given.failed, as_json=given.json)


def _diff(given: argparse.Namespace) -> int:
    from pytest_crewai_trace.cli.diff import diff

    if len(given.sides) not in (0, 2):
        given.wrong("what is compared are two: A and B")
    return diff(given.sides, given.dir, level=given.level, full=given.full)


def _merge(given: argparse.Namespace) -> int:
    from pytest_crewai_trace.cli.merge import merge

    return merge(given.folders, given.output, force=given.force)


def _html(given: argparse.Namespace) -> int:
    from pytest_crewai_trace.cli.html import html

    return html(given.folders, given.output, force=given.force)


def _export(given: argparse.Namespace) -> int:
    from pytest_crewai_trace.cli.export import export

    return export(given.what, given.dir, given.format, given.output, all_runs=given.all, force=given.force)


def _stats(given: argparse.Namespace) -> int:
    from pytest_crewai_trace.cli.stats import stats

    return stats(given.what, given.dir, by=given.by, top=given.top, all_runs=given.all, as_json=given.json)


def _publish(given: argparse.Namespace) -> int:
    from pytest_crewai_trace.cli.publish import publish

    return publish(
        given.folders,
        which=given.which,
        names_only=given.content == "none",
        anonymous=given.anonymous,
        seconds=given.timeout,
        dry_run=given.dry_run,
    )


def _doctor(given: argparse.Namespace) -> int:
    from pytest_crewai_trace.cli.doctor import doctor

    return doctor(offline=given.offline)
