"""What a session is asked to do: command line over environment over ini over default."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

import pytest

from pytest_crewai_trace.publish import options as publish_options

if TYPE_CHECKING:
    from collections.abc import Iterable

SNAPSHOTS = frozenset({"snapshot", "crewai_snapshot"})
RECORD_MODES = ("none", "once", "new_episodes", "all")
BUDGET = "crewai_budget"  # the marker, which traces its test too, and the ini option
PATTERNS = ("crewai_trace_redact", "crewai_trace_normalize")
Which = Literal["failed", "all", "none"]
WHICH: tuple[Which, ...] = get_args(Which)
FOLDER = ".crewai-traces"
MOST_BYTES = 500_000_000  # that the folder holds
RUN = "crewai_trace_run"  # what xdist's controller tells its workers
ENVIRONMENT = "CREWAI_TRACING_ENABLED"  # crewAI's own name for "trace everything"
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


class Settings:  # made at every start of pytest: a NamedTuple takes 0.4 ms to define, a dataclass 1 ms
    """``enabled``: trace every test. ``source``: who said so. ``guard``: keep crewAI's own traffic out of the tests.
    ``block_network``: keep tests with a script, or with a cassette that is replayed, off the network.

    ``keep``: whose traces stay in ``folder``, which holds at most ``most_bytes``; ``run`` names those of this session.
    ``show``: whose trees are printed.
    ``github_summary``: the file in which GitHub Actions takes a job's summary. ``html``: where the viewer goes.
    ``publish``: what is sent to CrewAI AMP, ``None`` for nothing.
    """

    def __init__(
        self,
        *,
        enabled: bool,
        source: str,
        guard: bool,
        block_network: bool,
        keep: Which,
        folder: Path,
        folder_is_default: bool,
        most_bytes: int,
        show: Which,
        run: str,
        worker: str | None,
        github_summary: Path | None,
        html: Path | None,
        publish: publish_options.Publishing | None,
    ) -> None:
        self.enabled = enabled
        self.source = source
        self.guard = guard
        self.block_network = block_network
        self.keep: Which = keep
        self.folder = folder
        self.folder_is_default = folder_is_default
        self.most_bytes = most_bytes
        self.show: Which = show
        self.run = run
        self.worker = worker
        self.github_summary = github_summary
        self.html = html
        self.publish = publish


SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()
# The sessions of this process, the innermost last: for what is asked outside of pytest's hooks.
RUNNING: list[pytest.Config] = []


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("crewai-trace", "traces of crewAI crews, flows and agents")
    group.addoption(
        "--crewai-trace",
        action="store_const",
        const=True,
        default=None,
        dest="crewai_trace",
        help="trace every crew, flow and agent that a test runs; nothing leaves the machine",
    )
    group.addoption(
        "--no-crewai-trace",
        action="store_const",
        const=False,
        dest="crewai_trace",
        help=f"do not, whatever {ENVIRONMENT} or ini say (a test that asks for the fixture is still traced)",
    )
    group.addoption(
        "--crewai-record",
        choices=RECORD_MODES,
        default="none",
        dest="crewai_record",
        help="cassettes: none replays only (default); once records a cassette that is missing; new_episodes adds the "
        "requests that a cassette does not have; all records anew",
    )
    group.addoption(
        "--crewai-trace-keep",
        choices=WHICH,
        default=None,
        help="whose traces stay on disk, a file for each attempt at a test (default: failed)",
    )
    group.addoption(
        "--crewai-trace-dir", metavar="PATH", default=None, help=f"the folder that they stay in (default: {FOLDER})"
    )
    group.addoption(
        "--crewai-trace-show",
        choices=WHICH,
        default=None,
        help="whose traces are printed as trees; failed: in the report of the failure (default: failed)",
    )
    group.addoption(
        "--crewai-trace-html",
        metavar="PATH",
        default=None,
        help="write a viewer of the traces, one HTML file; unless told otherwise, traces every test and keeps all",
    )
    publish_options.add_options(group, parser)
    parser.addini("crewai_trace_keep", "whose traces stay on disk: failed, all or none (default: failed)", default=None)
    parser.addini("crewai_trace_dir", f"the folder that traces stay in (default: {FOLDER})", default=None)
    parser.addini("crewai_trace_show", "whose traces are printed: failed, all or none (default: failed)", default=None)
    parser.addini(
        "crewai_trace_dir_size",
        "the most that the folder holds, such as 200 MB; the oldest traces are dropped first, those of passed tests "
        "before others (default: 500 MB)",
        default=None,
    )
    parser.addini(
        "crewai_trace", "trace every test, like --crewai-trace: true or false (default: false)", "bool", default=None
    )
    parser.addini(
        "crewai_trace_guard",
        "while tracing, keep crewAI's own uploads, telemetry, version look-ups, prompts and files out of the tests: "
        "true or false (default: true)",
        "bool",
        default=None,
    )
    parser.addini(
        BUDGET,
        "what every traced test may use at most, a limit a line: llm_calls, tool_calls, input_tokens, output_tokens,"
        " total_tokens = number, cost = dollars, seconds = number",
        "linelist",
        default=[],
    )
    parser.addini(
        "crewai_trace_redact",
        "regular expressions, one a line, of secrets to take out of all that is stored, shown or sent: all that one"
        " matches, or only its group (?P<secret>...)",
        "linelist",
    )
    parser.addini(
        "crewai_trace_normalize",
        "regular expressions, one a line, of what differs from run to run; in snapshots a numbered placeholder stands"
        " for all that one matches, or for its group, such as (?P<order>...)",
        "linelist",
    )
    parser.addini(
        "crewai_block_network",
        "a test whose models are scripted or replayed can reach this machine only: true or false (default: true)",
        "bool",
        default=None,
    )


def resolve(config: pytest.Config, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a session.

    Raises:
        pytest.UsageError: a value that makes no sense; the message names it and the valid ones.
    """
    guard = _ini_bool(config, "crewai_trace_guard")
    for name in PATTERNS:
        _check_patterns(name, config.getini(name))
    block_network = _ini_bool(config, "crewai_block_network")
    html = _html(config)
    said = partial(_said, config, _own(environ))
    publish = publish_options.resolve(said)
    # Asked for in words of its own, it needs traces whatever crewAI's variable says, which CI often switches off.
    publish_asked = publish is not None and not (said(publish_options.NAME) or ("", ""))[1].startswith("ini ")
    options: Iterable[tuple[bool | None, str]] = (
        (config.getoption("crewai_trace"), "command line"),
        (True if publish_asked else None, publish_options.OPTION),
        (_environment_bool(config, environ), ENVIRONMENT),
        (_ini_bool(config, "crewai_trace"), "ini"),
        (True if html is not None else None, "--crewai-trace-html"),
        (True if publish is not None else None, publish_options.OPTION),
        (False, "default"),
    )
    enabled, source = next((enabled, source) for enabled, source in options if enabled is not None)
    keep = _which(config, environ, "crewai_trace_keep", default="failed" if html is None else "all")
    if html is not None and keep == "none":
        raise pytest.UsageError(
            "--crewai-trace-html shows the traces that are kept, and --crewai-trace-keep=none keeps none;"
            " valid with it: failed, all"
        )
    folder, folder_is_default = _folder(config, environ)
    worker = getattr(config, "workerinput", {})
    return Settings(
        enabled=enabled,
        source=source,
        guard=guard is not False,
        block_network=block_network is not False,
        keep=keep,
        folder=folder,
        folder_is_default=folder_is_default,
        most_bytes=_most_bytes(config),
        show=_which(config, environ, "crewai_trace_show"),
        run=worker.get(RUN) or run_name(datetime.now(timezone.utc)),
        worker=worker.get("workerid"),
        github_summary=_github_summary(environ),
        html=html,
        publish=publish,
    )


def run_name(now: datetime) -> str:
    """A name for a run; in the order of names runs are in the order in which they began."""
    return f"{now:%Y%m%dT%H%M%SZ}-{now.microsecond * 16 + os.urandom(1)[0] % 16:06x}"


def _html(config: pytest.Config) -> Path | None:
    given = config.getoption("crewai_trace_html")
    if given is None:
        return None
    path = config.invocation_params.dir / Path(given).expanduser()
    if not hasattr(config, "workerinput"):  # xdist's controller writes it
        from pytest_crewai_trace.report.target import ViewerError, check

        try:
            check(path)
        except ViewerError as error:
            raise pytest.UsageError(f"--crewai-trace-html: {error}") from None
    return path


def _github_summary(environ: Mapping[str, str]) -> Path | None:
    path = _own(environ).get("GITHUB_STEP_SUMMARY")
    return Path(path) if path else None


def _which(config: pytest.Config, environ: Mapping[str, str], name: str, default: Which = "failed") -> Which:
    """One of ``WHICH``."""
    value, where = _said(config, environ, name) or (default, "")
    if value not in WHICH:
        raise pytest.UsageError(f"{where}: {value!r}; valid: {', '.join(WHICH)}")
    return value


def _said(config: pytest.Config, environ: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """What a setting was given, and where: the option ``--crewai-trace-keep`` over CREWAI_TRACE_KEEP over ini."""
    variable = name.upper()
    for value, where in (
        (config.getoption(name), "command line"),
        (environ.get(variable, "").strip(), variable),
        (_ini_text(config, name), f"ini {name}"),
    ):
        if value:
            return str(value), where
    return None


def _own(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment, as far as it is meant for this run: not that of a test that runs pytest."""
    return {} if "PYTEST_CURRENT_TEST" in environ else environ


def _folder(config: pytest.Config, environ: Mapping[str, str]) -> tuple[Path, bool]:
    """The folder of traces, and whether nobody chose it. One from ini lies in the project, as the default does."""
    typed = config.getoption("crewai_trace_dir") or environ.get("CREWAI_TRACE_DIR", "").strip()
    if typed:
        return config.invocation_params.dir / Path(typed).expanduser(), False
    ini = _ini_text(config, "crewai_trace_dir")
    return config.rootpath / Path(ini or FOLDER).expanduser(), not ini


def _most_bytes(config: pytest.Config) -> int:
    ini = _ini_text(config, "crewai_trace_dir_size")
    if not ini:
        return MOST_BYTES
    match = re.fullmatch(r"\s*(\d{1,9})\s*(KB|MB|GB)\s*", ini, re.IGNORECASE)
    if match is None:
        raise pytest.UsageError(f"ini crewai_trace_dir_size: {ini!r}; valid: a number of KB, MB or GB, such as 200 MB")
    return int(match[1]) * {"kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000}[match[2].lower()]


def _ini_text(config: pytest.Config, name: str) -> str:
    try:
        return config.getini(name) or ""
    except (TypeError, ValueError, pytest.UsageError) as error:  # of another type, where TOML has types
        raise pytest.UsageError(f"ini {name}: {error}") from None


def _ini_bool(config: pytest.Config, name: str) -> bool | None:
    try:
        return cast("bool | None", config.getini(name))
    except (TypeError, ValueError, pytest.UsageError) as error:  # the oldest pytest lets the first two through
        raise pytest.UsageError(f"ini {name}: {error}; valid: {', '.join((*_TRUE, *_FALSE))}") from None


def _check_patterns(name: str, patterns: Iterable[str]) -> None:
    for pattern in patterns:
        try:
            if re.search(pattern, "") is None:
                continue
            why = "it matches the empty text"
        except re.error as error:
            why = str(error)
        raise pytest.UsageError(f"ini {name}: {pattern!r} cannot be used: {why}")


def _environment_bool(config: pytest.Config, environ: Mapping[str, str]) -> bool | None:
    value = environ.get(ENVIRONMENT, "")
    text = value.strip().lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text and not hasattr(config, "workerinput"):  # xdist's controller has said it
        # crewAI's variable, not ours: a value that crewAI takes for "off" must not end the session.
        ignored = f"{ENVIRONMENT}={value!r} is neither true nor false: ignored"
        config.issue_config_time_warning(pytest.PytestConfigWarning(ignored), stacklevel=2)
    return None
