"""``crewai-trace doctor``: what is installed, what is on and why, and why a trace may not appear.

crewAI's files are read, never imported; credentials are looked for, never shown or sent.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from rich.text import Text

from pytest_crewai_trace.cli.places import console, default_folder
from pytest_crewai_trace.installed import version_of
from pytest_crewai_trace.publish.credentials import DEFAULT_URL, TOKENS, URL

if TYPE_CHECKING:
    from pytest_crewai_trace.settings import Settings

State = Literal["ok", "info", "problem"]
_PACKAGES = (
    "pytest-crewai-trace",
    "pytest",
    "crewai",
    "crewai-core",
    "pydantic",
    "genai-prices",
    "pytest-xdist",
    "syrupy",
)
_SECONDS = 5.0  # that a server may take to answer
_MARKS: dict[State, tuple[str, str]] = {"ok": ("ok", "green"), "info": ("--", "dim"), "problem": ("!!", "bold red")}


@dataclass(frozen=True)
class Line:
    """One thing that was looked at."""

    state: State
    text: str


def doctor(*, offline: bool) -> int:
    """Print what was found; 1 where something of it is a problem."""
    out = console()
    problem = False
    for title, lines in _sections(offline=offline, environ=os.environ):
        out.print(Text(title, style="bold"))
        for line in lines:
            mark, style = _MARKS[line.state]
            out.print(Text.assemble("  ", (f"{mark:<3}", style), line.text))
            problem = problem or line.state == "problem"
    return int(problem)


def _sections(*, offline: bool, environ: Mapping[str, str]) -> Iterator[tuple[str, list[Line]]]:
    yield "versions", list(_versions())
    settings, why = session_settings()
    yield "tracing in tests", list(_tracing(settings, why))
    yield "the guard, which keeps crewAI's own uploads out of tests", list(guard_lines())
    credentials = list(_credentials(environ))
    yield "credentials for CrewAI AMP (found, not shown)", credentials
    server = _server(environ, offline=offline)
    yield "CrewAI AMP", server
    yield "publishing", list(_publishing(settings))
    yield "traces not appearing in the dashboard?", list(_not_appearing(environ, credentials))
    yield "authentication problems?", list(_authentication(credentials, server))


def _versions() -> Iterator[Line]:
    yield Line("ok", f"Python {sys.version.split()[0]} ({sys.executable})")
    for package in _PACKAGES:
        found = version_of(package)
        if found is not None:
            yield Line("ok", f"{package} {found}")
        elif package in ("crewai", "pytest"):
            yield Line("problem", f"{package} is not installed in this environment")


def session_settings() -> tuple[Settings | None, str]:
    """What a pytest that is started here would be told, or why there is no saying.

    It reads the command line's defaults and the ini file, no ``conftest.py``, and runs nothing.
    """
    if not any(point.value == "pytest_crewai_trace.plugin" for point in entry_points(group="pytest11")):
        return None, "pytest does not find the plugin: install pytest-crewai-trace where pytest is"
    import pytest

    from pytest_crewai_trace import settings

    found: list[Settings] = []

    class Probe:
        @pytest.hookimpl(tryfirst=True)
        def pytest_cmdline_main(self, config: pytest.Config) -> int:
            if config.pluginmanager.has_plugin("crewai_trace"):
                found.append(settings.resolve(config))
            return 0

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            pytest.main(["--noconftest", "-p", "no:cacheprovider"], plugins=[Probe()])
        except Exception as error:  # noqa: BLE001 - another plugin's, or the project's own
            return None, f"pytest cannot be started here: {type(error).__name__}: {error}"
    if found:
        return found[0], ""
    first = next((line for line in said.getvalue().splitlines() if line.strip()), "")
    if first:
        return None, f"pytest cannot be started here: {first}"
    return None, "pytest does not load the plugin: -p no:crewai_trace or PYTEST_DISABLE_PLUGIN_AUTOLOAD says so"


def _tracing(settings: Settings | None, why: str) -> Iterator[Line]:
    if settings is None:
        yield Line("problem", why)
        return
    if settings.enabled:
        yield Line("ok", f"every test is traced (by {settings.source})")
    else:
        said = {"default": "nobody asked for it", "ini": "ini says so"}.get(
            settings.source, f"{settings.source} says so"
        )
        yield Line("info", f"only tests that ask for it are traced: {said}; pytest --crewai-trace traces every test")
    yield Line(
        "ok" if settings.guard else "info", f"the guard is {'on' if settings.guard else 'off (crewai_trace_guard)'}"
    )
    kept = {"all": "of all tests", "failed": "of failed tests", "none": "of no test"}[settings.keep]
    there = "" if settings.folder.exists() else " (which does not exist yet)"
    yield Line("ok", f"the traces {kept} stay in {settings.folder}{there}")
    if settings.folder.exists() and not settings.folder.is_dir():
        yield Line("problem", f"{settings.folder} is not a folder: no trace can be kept")
    elif settings.folder.is_dir() and not os.access(settings.folder, os.W_OK):
        yield Line("problem", f"{settings.folder} cannot be written to")


def guard_lines() -> Iterator[Line]:
    """Whether the names of crewAI exist that the guard replaces."""
    from pytest_crewai_trace.capture.guard import BLOCKS

    if find_source("crewai") is None:
        yield Line("info", "there is no crewAI here to guard")
        return
    gone = 0
    for block in BLOCKS:
        targets = [target for target in block.targets if target.startswith("crewai")]
        needless = (block.when and find_source(block.when) is None) or (
            block.unless
            and not any(find_source(target.partition(":")[0]) for target in targets)
            and find_source(block.unless)
        )
        if not targets or needless or any(defines(target) for target in targets):
            continue
        gone += 1
        names = " or ".join(target.replace(":", ".") for target in targets)
        yield Line("problem", f"this crewAI has no {names} ({block.what}); requests stay blocked at the HTTP layer")
    if not gone:
        yield Line("ok", "all names of this crewAI that it replaces exist")


def find_source(module: str) -> Path | None:
    """The file of a module, found without importing it or its packages."""
    path: Any = None
    origin: str | None = None
    for name in accumulate(module.split("."), "{}.{}".format):
        spec = PathFinder.find_spec(name, path)
        if spec is None:
            return None
        path, origin = spec.submodule_search_locations, spec.origin
    return Path(origin) if origin is not None else None


@lru_cache(maxsize=64)
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())


def defines(target: str) -> bool:
    """Whether "module:attribute" is in the module's source."""
    module, _, attribute = target.partition(":")
    file = find_source(module)
    if file is None or file.suffix != ".py":
        return False
    try:
        body: list[ast.stmt] = _parsed(file).body
    except (OSError, SyntaxError, ValueError):
        return False
    for name in attribute.split("."):
        found = next((statement for statement in _statements(body) if name in _names(statement)), None)
        if found is None:
            return False
        body = getattr(found, "body", [])
    return True


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a body, also those under ``if`` and ``try``."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try):
            yield from _statements([*statement.body, *statement.orelse])


def _names(statement: ast.stmt) -> set[str]:
    """What a statement defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.ImportFrom | ast.Import):
        return {alias.asname or alias.name for alias in statement.names}
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _credentials(environ: Mapping[str, str]) -> Iterator[Line]:
    found = list(_found_credentials(environ))
    yield from found or [Line("info", "none")]


def _found_credentials(environ: Mapping[str, str]) -> Iterator[Line]:
    for name in TOKENS:
        if environ.get(name, "").strip():
            yield Line("ok", f"{name} is set")
    login = login_file(environ)
    if login is not None and login.exists():
        yield Line("ok", f"a saved login of 'crewai login' ({login}); whether it has expired, only crewAI can read")
    organisation = _saved_settings().get("org_uuid")
    if isinstance(organisation, str) and organisation:
        yield Line("info", "the saved settings name an organization")


def login_file(environ: Mapping[str, str]) -> Path | None:
    """Where ``crewai login`` keeps its token."""
    if sys.platform == "win32":
        base = environ.get("LOCALAPPDATA")
        return None if base is None else Path(base, "crewai", "credentials", "tokens.enc")
    data = "Library/Application Support" if sys.platform == "darwin" else ".local/share"
    return Path("~").expanduser() / data / "crewai" / "credentials" / "tokens.enc"


def _saved_settings() -> dict[str, Any]:
    try:
        saved = json.loads((Path("~").expanduser() / ".config" / "crewai" / "settings.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return saved if isinstance(saved, dict) else {}


def _server(environ: Mapping[str, str], *, offline: bool) -> list[Line]:
    saved = _saved_settings().get("enterprise_base_url")
    url = environ.get(URL) or (saved if isinstance(saved, str) and saved else DEFAULT_URL)
    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.hostname or ''}" + (f":{parts.port}" if parts.port else "")
    source = URL if environ.get(URL) else "the saved settings" if saved else "the default"
    named = Line("info", f"the server is {shown} ({source})")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return [Line("problem", f"the server's address is no URL: {shown} ({source})")]
    if offline:
        return [named, Line("info", "not asked whether it can be reached (--offline)")]
    import httpx

    try:
        # No credential: whether the server answers is all that is asked.
        with httpx.Client(timeout=_SECONDS, follow_redirects=False) as client, client.stream("GET", shown) as answer:
            return [named, Line("ok", f"it answers (HTTP {answer.status_code})")]
    except httpx.HTTPError as error:
        return [named, Line("problem", f"it does not answer: {type(error).__name__}: {error}")]


def _publishing(settings: Settings | None) -> Iterator[Line]:
    """Whether runs here are published, and what waits."""
    publish = None if settings is None else settings.publish
    if publish is None:
        yield Line("info", "a run here publishes nothing; --crewai-trace-publish=failed or all sends traces to AMP")
    else:
        yield Line("ok", f"a run here publishes the traces of {publish.which} tests, content: {publish.content}")
    folder = default_folder()
    from pytest_crewai_trace.publish.outbox import find

    waiting = sum(item.waits for item in find([folder])) if folder.is_dir() else 0
    if waiting:
        yield Line("info", f"{waiting} of {folder} not sent yet: crewai-trace publish")


def _not_appearing(environ: Mapping[str, str], credentials: list[Line]) -> Iterator[Line]:
    """The points of crewAI's own page on traces that do not appear, answered for this project."""
    yield Line(
        "info",
        "under pytest with tracing on, crewAI sends nothing by design: the trace is the test's. "
        "crewai_trace_guard = false in ini lets crewAI send",
    )
    yield Line("info", f"tracing=True: {_where_tracing_is_set()}")
    value = environ.get("CREWAI_TRACING_ENABLED")
    if value is None:
        yield Line("info", "CREWAI_TRACING_ENABLED is not set")
    elif value.strip().lower() in ("true", "1"):
        yield Line("ok", f"CREWAI_TRACING_ENABLED={value}: crewAI traces every crew and flow")
    else:
        yield Line("info", f"CREWAI_TRACING_ENABLED={value}: crewAI takes it for no")
    dotenv = Path(".env")
    if dotenv.is_file() and "CREWAI_TRACING_ENABLED" in dotenv.read_text("utf-8", errors="replace"):
        yield Line("info", "the .env here sets CREWAI_TRACING_ENABLED, which crewAI reads when it is imported")
    yield Line("ok" if any(line.state == "ok" for line in credentials) else "info", _authenticated(credentials))
    yield _has_run()


def _where_tracing_is_set() -> str:
    """Where the project's own files say it, as far as a look at the first of them tells."""
    files: list[str] = []
    looked = 0
    for where, folders, names in os.walk("."):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in ("node_modules", "venv")
        )
        for name in sorted(names):
            if not name.endswith(".py"):
                continue
            looked += 1
            if looked > 2_000:
                return f"found in {', '.join(files)}" if files else "not found in the first 2,000 files here"
            with contextlib.suppress(OSError):
                text = Path(where, name).read_text("utf-8", errors="replace")
                if "crewai" in text and "tracing=True" in text.replace(" ", ""):
                    files.append(str(Path(where, name)))
                    if len(files) == 5:
                        return f"found in {', '.join(files)} and perhaps more"
    return f"found in {', '.join(files)}" if files else "found in no file here"


def _authenticated(credentials: list[Line]) -> str:
    found = any(line.state == "ok" for line in credentials)
    return "there is a credential" if found else "there is no credential: crewai login, or CREWAI_USER_PAT in CI"


def _has_run() -> Line:
    from pytest_crewai_trace.store.reader import files_in

    folder = default_folder()
    latest = max((path.parent.name for path in files_in(folder)), default=None) if folder.is_dir() else None
    if latest is None:
        return Line(
            "info", "whether a crew or flow ran: no kept trace says so; pytest --crewai-trace --crewai-trace-keep=all"
        )
    return Line("ok", f"crews or flows ran: the last kept traces are of {latest} (crewai-trace list)")


def _authentication(credentials: list[Line], server: list[Line]) -> Iterator[Line]:
    """The points of crewAI's own page on authentication."""
    found = any(line.state == "ok" for line in credentials)
    yield Line("ok" if found else "info", f"logged in: {_authenticated(credentials)}")
    answers = {"ok": "the server answers", "problem": "the server does not answer", "info": "not looked at"}
    state = server[-1].state
    yield Line(state, f"connection: {answers[state]}")
    yield Line("info", "the account: only the server knows; log in at its address with a browser")
