"""What the doctor finds; it imports no crewAI, and shows and sends no credential."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pytest_crewai_trace.capture.guard import BLOCKS
from pytest_crewai_trace.cli import doctor
from tests.support.amp import Amp
from tests.support.stored import keep

ROOT = Path(__file__).parents[3]
installed = pytest.mark.skipif(
    not any(point.name == "crewai_trace" for point in entry_points(group="pytest11")), reason="not installed"
)


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    """An empty project and home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith(("CREWAI_", "PYTEST_"))]:
        monkeypatch.delenv(name)


def section(lines, title):
    """The lines of a section, without their indentation."""
    begin = lines.index(title) + 1
    end = next((place for place in range(begin, len(lines)) if not lines[place].startswith("  ")), len(lines))
    return [line.strip() for line in lines[begin:end]]


@installed
def test_what_is_on_and_why(command, monkeypatch, tmp_path):
    here = tmp_path / ".crewai-traces"
    _, out, _ = command("doctor", "--offline")
    assert section(out, "tracing in tests") == [
        "-- only tests that ask for it are traced: nobody asked for it; pytest --crewai-trace traces every test",
        "ok the guard is on",
        f"ok the traces of failed tests stay in {here} (which does not exist yet)",
    ]

    (tmp_path / "pytest.ini").write_text(
        "[pytest]\ncrewai_trace = true\ncrewai_trace_guard = false\ncrewai_trace_dir = file\ncrewai_trace_keep = all\n"
    )
    (tmp_path / "file").write_text("mine")
    code, out, _ = command("doctor", "--offline")
    assert code == 1
    assert section(out, "tracing in tests") == [
        "ok every test is traced (by ini)",
        "-- the guard is off (crewai_trace_guard)",
        f"ok the traces of all tests stay in {tmp_path / 'file'}",
        f"!! {tmp_path / 'file'} is not a folder: no trace can be kept",
    ]

    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:crewai_trace\n")
    assert section(command("doctor", "--offline")[1], "tracing in tests") == [
        "!! pytest does not load the plugin: -p no:crewai_trace or PYTEST_DISABLE_PLUGIN_AUTOLOAD says so"
    ]

    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (line,) = section(command("doctor", "--offline")[1], "tracing in tests")
    assert line.startswith("!! pytest cannot be started here: ERROR: ")


def test_s69_credentials_are_found_and_not_shown(command, monkeypatch, tmp_path):
    monkeypatch.setenv("CREWAI_USER_PAT", "pat-canary")
    monkeypatch.setattr(sys, "platform", "linux")
    login = tmp_path / "home" / ".local" / "share" / "crewai" / "credentials" / "tokens.enc"
    login.parent.mkdir(parents=True)
    login.write_text("token-canary")
    with Amp() as amp:
        monkeypatch.setenv("CREWAI_PLUS_URL", amp.url.replace("://", "://user:password-canary@"))
        _, out, err = command("doctor")

    assert section(out, "credentials for CrewAI AMP (found, not shown)") == [
        "ok CREWAI_USER_PAT is set",
        f"ok a saved login of 'crewai login' ({login}); whether it has expired, only crewAI can read",
    ]
    (request,) = amp.requests
    assert request.method == "GET"
    assert request.header("Authorization") is None
    assert "canary" not in "\n".join([*out, *err, str(request)])
    state = section(out, "CrewAI AMP")
    assert state[0] == f"-- the server is {amp.url} (CREWAI_PLUS_URL)"
    assert state[1].startswith("ok it answers (HTTP ")
    assert section(out, "authentication problems?") == [
        "ok logged in: there is a credential",
        "ok connection: the server answers",
        "-- the account: only the server knows; log in at its address with a browser",
    ]


def test_s15_a_server_that_is_not_there(command, monkeypatch):
    with Amp() as amp:
        url = amp.url
    monkeypatch.setenv("CREWAI_PLUS_URL", url)

    code, out, _ = command("doctor")

    assert code == 1
    assert section(out, "CrewAI AMP")[1].startswith("!! it does not answer: ConnectError: ")
    assert section(out, "authentication problems?")[1] == "!! connection: the server does not answer"


def test_traces_that_do_not_appear(command, monkeypatch, tmp_path):
    title = "traces not appearing in the dashboard?"
    _, out, _ = command("doctor", "--offline")
    assert section(out, title)[1:] == [
        "-- tracing=True: found in no file here",
        "-- CREWAI_TRACING_ENABLED is not set",
        "-- there is no credential: crewai login, or CREWAI_USER_PAT in CI",
        "-- whether a crew or flow ran: no kept trace says so; pytest --crewai-trace --crewai-trace-keep=all",
    ]

    (tmp_path / "crew.py").write_text("from crewai import Crew\nCrew(tracing = True)\n")
    (tmp_path / ".env").write_text("CREWAI_TRACING_ENABLED=true\n")
    keep(tmp_path / ".crewai-traces", "test_a.py::test_one")
    monkeypatch.setenv("CREWAI_TRACING_ENABLED", "yes")
    monkeypatch.setenv("CREWAI_USER_PAT", "x")
    _, out, _ = command("doctor", "--offline")
    assert section(out, title)[1:] == [
        f"-- tracing=True: found in {Path('crew.py')}",
        "-- CREWAI_TRACING_ENABLED=yes: crewAI takes it for no",
        "-- the .env here sets CREWAI_TRACING_ENABLED, which crewAI reads when it is imported",
        "ok there is a credential",
        "ok crews or flows ran: the last kept traces are of 20260101T000000Z-00000a (crewai-trace list)",
    ]


def test_s06_a_name_of_the_guard_that_is_gone(monkeypatch):
    assert [line.state for line in doctor.guard_lines()] == ["ok"]
    gone = [block for block in BLOCKS if block.what == "storage" and "path" in block.targets[0]][:1]
    names = {target for block in gone for target in block.targets}
    monkeypatch.setattr(doctor, "defines", lambda target, real=doctor.defines: target not in names and real(target))

    (line,) = doctor.guard_lines()

    assert line.state == "problem"
    assert line.text.startswith("this crewAI has no crewai")
    assert line.text.endswith("(storage); requests stay blocked at the HTTP layer")


@pytest.mark.parametrize(
    "arguments",
    [("doctor", "--offline"), ("list",), ("show",), ("stats",), ("export", "--format", "otlp-json"), ("--help",)],
    ids=lambda arguments: arguments[0],
)
def test_no_command_imports_crewai(tmp_path, arguments):
    keep(tmp_path / ".crewai-traces", "test_a.py::test_one")
    code = (
        "import sys\nfrom pytest_crewai_trace.cli import main\n"
        f"try: main({list(arguments)!r})\nexcept SystemExit: pass\n"
        "sys.exit('crewai' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()
