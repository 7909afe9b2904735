"""What crewAI does on its own stays out of tests: real crewAI, everything switched on, a real server in AMP's place.

Each scene is one child process (``tests/support/guarded.py``) that runs crewAI in every way and reports what left it.
The same scene without the guard is the control: it shows that the requests would have been seen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from pytest_crewai_trace.capture.guard import Guard
from pytest_crewai_trace.capture.storage import OURS, VARIABLE
from tests.support.amp import Amp
from tests.support.homes import ROOT, environment_of, make_home, on_pipe

CREWAI = Version(version("crewai"))
GRANTS = Version("1.15.22") <= CREWAI
RUNS = ["crew", "crew_by_environment", "flow", "flow_by_environment", "agent", "llm_call", "thread", "executor"]
RUNS += ["process", "asyncio", "raising"]
IN_PROCESS = [name for name in RUNS if name != "process"]
RESULTS = {
    "crew": "done",
    "crew_by_environment": "done",
    "flow": "hello",
    "flow_by_environment": "hello",
    "agent": "done",
    "llm_call": "hello",
    "thread": "done",
    "executor": ["done", "hello"],
    "process": "done",
    "asyncio": ["done", "done", "hello"],
    "raising": "broken model",
}
OWN_REQUEST = ["GET /crewai_plus/api/v1/me/organizations"]
RENAMED = {
    "crewai.execution": {"_start_tracing": "_open_tracing"},
    "crewai.telemetry.tracing.grants": {"_make_request": "_send_request"},
    "crewai.cli.plus_api": {"_make_request": "_send_request"},
    "crewai_core.plus_api": {"_make_request": "_send_request"},
    "crewai.events.listeners.tracing.trace_batch_manager": {"_initialize_backend_batch": "_open_backend_batch"},
    "crewai.events.listeners.tracing.first_time_trace_handler": {"_initialize_backend_batch": "_open_backend_batch"},
}
PROMPTS = ("Would you like to view", "Share this execution trace", "Tracing Preference Saved", "Execution Traces")
# The last exit handler, after crewAI's: what its telemetry tries at exit is in the report too.
CONFTEST = """
import atexit, json, sys
from pathlib import Path
from tests.support.guarded import contacted, watch_network

sys.addaudithook(watch_network)
atexit.register(lambda: Path({report!r}).write_text(json.dumps({{"hosts": sorted(contacted)}})))
"""
TESTS = """
from threading import Thread
from tests.support.guarded import Situations

crews = Situations()

def test_crew():
    assert crews.crew_by_environment() == "done"

def test_flow():
    assert crews.flow() == "hello"

def test_agent_in_a_thread():
    thread = Thread(target=crews.agent)
    thread.start()
    thread.join()

def test_llm_call():
    assert crews.llm_call() == "hello"
"""


@dataclass(frozen=True)
class Scene:
    """What a child process reported, and what it left on the disk and on the terminal."""

    report: dict[str, Any]
    home: list[str]
    project: list[str]
    terminal: str

    def __getitem__(self, name: str) -> Any:
        return self.report[name]


def play(root: Path, **config: Any) -> Scene:
    """Run one child process that is logged in, has consented, and has a ``.env`` that switches tracing on."""
    make_home(root, fresh=False)
    config = {"guard": True, "situations": [*RUNS, "own_request"], "report": str(root / "report.json"), **config}
    return perform(root, "from tests.support.guarded import main; main()", json.dumps(config))


def play_pytest(root: Path, *arguments: str, fresh: bool = False, terminal: bool = False) -> Scene:
    """The same through the plugin: a project of the user's that knows nothing of the guard."""
    project = make_home(root, fresh=fresh)
    (project / "conftest.py").write_text(CONFTEST.format(report=str(root / "report.json")))
    (project / "test_crew.py").write_text(TESTS)
    plugin = ["-p", "pytest_crewai_trace.plugin"]
    if any(found.value == plugin[1] for found in entry_points(group="pytest11")):
        plugin = []
    code = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    arguments = ("--rootdir=.", "-p", "no:cacheprovider", *plugin, "--crewai-trace", *arguments)
    with Amp() as amp:
        scene = perform(root, code, *arguments, terminal=terminal, url=amp.url)
        scene.report["requests"] = [f"{request.method} {request.path}" for request in amp.requests]
    return scene


def perform(root: Path, code: str, *arguments: str, terminal: bool = False, url: str = "") -> Scene:
    home, project = root / "home", root / "project"
    environment = environment_of(home, url)
    command = [sys.executable, "-c", code, *arguments]
    output = (on_terminal if terminal else on_pipe)(command, project, environment)
    assert (root / "report.json").exists(), output
    return Scene(
        json.loads((root / "report.json").read_text()),
        sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()),
        sorted(path.relative_to(project).as_posix() for path in project.rglob("*")),
        output,
    )


def on_terminal(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """The same in a terminal, with somebody who answers ``n`` to what is asked."""
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    output = b""
    while True:
        try:
            new = os.read(ours, 65536)
        except OSError:  # Linux, when the other end is closed
            break
        if not new:
            break
        output += new
        if b"timeout): " in new:
            os.write(ours, b"n\n")
    process.wait(timeout=300)
    os.close(ours)
    return output.decode(errors="replace")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return tmp_path_factory.mktemp


@pytest.fixture(scope="module")
def guarded(folder) -> Scene:
    root = folder("guarded")
    return play(root, storage=str(root / "storage"))


@pytest.fixture(scope="module")
def unguarded(folder) -> Scene:
    root = folder("unguarded")
    return play(root, guard=False, storage=str(root / "storage"))


@pytest.fixture(scope="module")
def imported_first(folder) -> Scene:
    """crewAI was imported before the guard, and AMP is down."""
    return play(folder("imported-first"), import_first=True, amp="down", situations=IN_PROCESS)


@pytest.fixture(scope="module")
def renamed(folder) -> Scene:
    """A crewAI in which private names that the guard replaces are gone, and an AMP that answers 500."""
    runs = ["crew", "flow_by_environment", "agent", "llm_call", "thread", "tracing_request", "own_request"]
    return play(folder("renamed"), renamed=RENAMED, status=500, situations=runs)


def nothing(*names: str) -> dict[str, list[str]]:
    return {name: [] for name in (*names, "exit")}


def test_no_request_whatever_switches_tracing_on(guarded):
    """S02, S05: ``tracing=True``, ``.env``, a saved login, a token and the consent together: 0 requests to AMP."""
    assert guarded["requests"] == nothing(*RUNS) | {"own_request": OWN_REQUEST}
    assert guarded["errors"] == {}
    assert guarded["warnings"] == []


def test_the_same_scene_without_the_guard_sends_traces(unguarded):
    """S02, S05: the control: each run is seen by the server, and telemetry and PyPI are looked up."""
    silent = {name for name in RUNS if not unguarded["requests"][name]}
    assert silent <= {"llm_call"}  # crewAI 1.13 sends nothing for a call outside a run
    hosts = {host for found in unguarded["hosts"].values() for host in found}
    assert hosts == {"telemetry.crewai.com", "pypi.org"}
    assert unguarded["handlers"] == ["SIGTERM", "SIGINT"]
    assert ".local/share/project/latest_kickoff_task_outputs.db" in unguarded.home


def test_no_look_up_of_any_other_host(guarded, imported_first):
    """S02: no telemetry, no version look-up: nothing but loopback is asked for, at exit neither."""
    assert guarded["hosts"] == nothing(*RUNS, "own_request")
    assert imported_first["hosts"] == nothing(*IN_PROCESS)


def test_runs_are_what_they_would_be_without_the_guard(guarded, unguarded):
    """S02: results are the same, and a request of the user's own goes through."""
    assert guarded["results"] == unguarded["results"] == RESULTS | {"own_request": 200}
    assert guarded["requests"]["own_request"] == unguarded["requests"]["own_request"]


def test_it_counts_what_it_blocked(guarded):
    assert set(guarded["blocked"]) == {"upload", "telemetry"}
    assert guarded["blocked"]["upload"] >= len(IN_PROCESS) - 1


def test_signals_stay_pytests_own(guarded, imported_first):
    """S34, S35: SIGTERM and SIGINT are not crewAI's while the guard is on, also when crewAI had them before."""
    assert guarded["handlers"] == imported_first["handlers"] == []
    assert imported_first["handlers_before"] == imported_first["handlers_after"] == ["SIGTERM", "SIGINT"]


def test_amp_that_is_down_breaks_no_run(imported_first):
    """S03: ``kickoff()`` does not raise (crewAI 1.15.22 would), and crewAI may have been imported before."""
    assert imported_first["results"] == {name: RESULTS[name] for name in IN_PROCESS}
    assert imported_first["errors"] == {}
    assert imported_first["requests"] == nothing(*IN_PROCESS)


@pytest.mark.skipif(CREWAI not in (Version("1.15.22"), Version("1.15.23")), reason="other versions go on untraced")
def test_amp_that_is_down_breaks_runs_without_the_guard(folder):
    """S03: the control."""
    assert "TraceGrantError" in play(folder("down"), guard=False, amp="down", situations=["crew"])["errors"]["crew"]


def test_everything_is_put_back(imported_first):
    assert imported_first["changed"] == []
    assert imported_first["environment"] == {}


@pytest.fixture(scope="module")
def terminal(folder) -> Scene:
    if sys.platform == "win32":
        pytest.skip("needs a pseudo-terminal")
    return play_pytest(folder("terminal"), "-s", fresh=True, terminal=True)


def test_no_prompt_in_a_terminal(terminal):
    """S04: ``pytest -s``, a fresh home, a real terminal: no prompt, no panel about tracing, no consent written."""
    assert "4 passed" in terminal.terminal
    assert [prompt for prompt in PROMPTS if prompt in terminal.terminal] == []
    assert "Crew Execution Completed" in terminal.terminal  # crewAI's own output is still there
    assert terminal["requests"] == []
    assert terminal["hosts"] == []
    assert [name for name in terminal.home if "credentials" not in name] == []


def test_a_prompt_in_a_terminal_without_the_guard(folder, terminal):
    """S04: the control."""
    options = ("-s", "-o", "crewai_trace_guard=false", "-k", "test_crew")
    scene = play_pytest(folder("prompt"), *options, fresh=True, terminal=True)
    assert any(prompt in scene.terminal for prompt in PROMPTS)
    assert ".local/share/project/.crewai_user.json" in scene.home


def test_the_plugin_guards_a_session(folder):
    """S02, S05, S13: ``pytest --crewai-trace`` in a project whose ``.env`` and login switch tracing on."""
    scene = play_pytest(folder("plugin"))
    assert "4 passed" in scene.terminal
    assert scene["requests"] == []
    assert scene["hosts"] == []
    assert not any(name.endswith(".db") for name in scene.home)
    assert scene.project == [".env", "conftest.py", "test_crew.py"]


def test_a_session_without_the_guard_sends_traces(folder):
    """S02, S05: the control: ``crewai_trace_guard = false`` lets it all through."""
    scene = play_pytest(folder("no-guard"), "-o", "crewai_trace_guard=false")
    assert "4 passed" in scene.terminal
    assert any("/tracing/" in request for request in scene["requests"])
    assert "telemetry.crewai.com" in scene["hosts"]


def test_a_private_name_that_is_gone_is_named_and_nothing_is_sent(renamed):
    """S06: a warning for each name, the transport is blocked, the runs are what they were."""
    gone = ["crewai.execution._start_tracing"] if GRANTS else []
    gone += ["TraceBatchManager._initialize_backend_batch", "PlusAPI._make_request"]
    assert len(renamed["warnings"]) == len(gone)
    assert [name for name, warning in zip(gone, renamed["warnings"], strict=True) if name not in warning] == []
    runs = [name for name in renamed["results"] if name != "own_request"]
    assert renamed["requests"] == nothing(*runs) | {"own_request": OWN_REQUEST}
    assert renamed["hosts"] == nothing(*runs, "own_request")
    assert renamed["errors"] == {}
    assert renamed["results"]["tracing_request"] == 404
    assert {name: renamed["results"][name] for name in ("crew", "agent")} == {"crew": "done", "agent": "done"}


def test_storage_is_the_tests_own(guarded, unguarded):
    """S13: databases, flow state, knowledge and consent are in the test's folder, made when they are needed."""
    first, second = guarded["storage"]["tests"]
    assert first["files"] == second["files"] == ["flow_states.db", "latest_kickoff_task_outputs.db"]
    assert (first["lazy"], second["lazy"]) == (True, True)
    assert [Path(test["knowledge"]).name for test in (first, second)] == ["first", "second"]
    assert [Path(test["memory"]).parent.name for test in (first, second)] == ["first", "second"]
    assert [test["count"] for test in unguarded["storage"]["tests"]] == [1, 2]  # a flow goes on where the last test was
    assert [test["count"] for test in guarded["storage"]["tests"]] == [1, 1]
    assert [test["reloaded"] for test in guarded["storage"]["tests"]] == [1, 1]


def test_nothing_is_left_in_the_home_or_the_project(guarded):
    """S13: what was there before is all that is there, so that no other process can meet a test's files."""
    credentials = [f".local/share/crewai/credentials/{name}" for name in ("secret.key", "tokens.enc")]
    ours = [name for name in guarded.home if not name.startswith(".cache/chroma/")]  # chromadb's own, not crewAI's
    assert ours == [*credentials, ".local/share/project/.crewai_user.json"]
    assert guarded.project == [".env"]


def test_storage_can_be_nested(tmp_path, monkeypatch):
    """S13: the folder of a test inside the folder of the session; afterwards all is as it was."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(OURS, raising=False)
    guard = Guard(pytest.fail)
    with guard.files.use(str(tmp_path / "session")):
        with guard.files.use(str(tmp_path / "test")):
            assert os.environ[VARIABLE] == str(tmp_path / "test")
        assert os.environ[VARIABLE] == str(tmp_path / "session")
    assert VARIABLE not in os.environ
    assert OURS not in os.environ
    assert list(tmp_path.iterdir()) == []


def test_a_storage_of_the_users_own_stays(tmp_path, monkeypatch):
    """S13: set before the session, or by a fixture that outlives the test; one set in a test ends with it."""
    guard = Guard(pytest.fail)
    monkeypatch.setenv(VARIABLE, "/mine")
    with guard.files.use(str(tmp_path / "test")):
        assert os.environ[VARIABLE] == "/mine"
    assert os.environ[VARIABLE] == "/mine"
    monkeypatch.delenv(VARIABLE)
    with guard.files.use(str(tmp_path / "test")):
        with monkeypatch.context() as inside:
            inside.setenv(VARIABLE, "/inside")
        assert os.environ[VARIABLE] == str(tmp_path / "test")
    with guard.files.use(str(tmp_path / "test")):
        monkeypatch.setenv(VARIABLE, "/from a fixture")
    with guard.files.use(str(tmp_path / "next")):
        assert os.environ[VARIABLE] == "/from a fixture"


def test_a_guard_imports_nothing_of_crewai():
    """S01: neither starting nor stopping it imports crewAI or an HTTP library."""
    code = (
        "import sys; from pytest_crewai_trace.capture.guard import Guard; before = set(sys.modules)\n"
        "guard = Guard(print); guard.start(); guard.stop()\n"
        "ours = ('wrapt', 'pytest_crewai_trace')\n"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith(ours)))\n"
        "print([name for name in ('crewai', 'crewai_core', 'httpx', 'requests') if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    new, libraries = done.stdout.splitlines()
    assert libraries == "[]"
    assert not any(name in new for name in ("crewai", "httpx", "pydantic"))
