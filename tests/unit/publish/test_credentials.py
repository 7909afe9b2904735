"""Which AMP, and in whose name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

from pytest_crewai_trace.publish.credentials import DEFAULT_URL, Access, Credential, NoAccess, find_access

needs_core = pytest.mark.skipif(find_spec("crewai_core") is None, reason="this crewAI has no crewai_core")
PAT, ACTION, PLATFORM = "CREWAI_USER_PAT", "CREWAI_ENTERPRISE_ACTION_AUTH_TOKEN", "CREWAI_PLATFORM_INTEGRATION_TOKEN"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home in which nothing is saved; for crewai_core, whose places are fixed when it is imported, too."""
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "crewai_core"]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def save_login(token="login-canary", seconds=3_600):
    from crewai_core.token_manager import TokenManager

    TokenManager().save_tokens(token, int(time.time()) + seconds)


def save_settings(home, **settings):
    folder = home / ".config" / "crewai"
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("environ", "token", "name"),
    [
        ({PAT: "pat", ACTION: "action", PLATFORM: "platform"}, "pat", PAT),
        ({ACTION: "action", PLATFORM: "platform"}, "action", ACTION),
        ({PLATFORM: "platform"}, "platform", PLATFORM),
        ({PAT: "", ACTION: "  ", PLATFORM: "platform"}, "platform", PLATFORM),
        ({PAT: " pat\n"}, "pat", PAT),
    ],
)
def test_the_environment_comes_first(home, environ, token, name):
    access = find_access(environ)
    assert isinstance(access, Access)
    assert (access.base_url, access.organization) == (DEFAULT_URL, None)
    assert access.credential.token == token
    assert access.credential.source == f"the token in {name}"
    assert access.credential.remedy.startswith("set it to a valid ")


@needs_core
def test_the_saved_login_comes_last(home):
    save_login()
    assert find_access({}).credential == Credential(
        "login-canary", "the saved `crewai login`", "run `crewai login` again"
    )
    assert find_access({PAT: "pat"}).credential.token == "pat"


@needs_core
@pytest.mark.parametrize("damage", ["expired", "noise", "empty"])
def test_a_login_that_is_of_no_use(home, damage):
    save_login(seconds=-5 if damage == "expired" else 3_600)
    (file,) = home.rglob("tokens.enc")
    if damage != "expired":
        file.write_bytes(b"\xff\x00" if damage == "noise" else b"")

    assert find_access({}) == NoAccess(
        "there is no credential for CrewAI AMP: set CREWAI_USER_PAT or run `crewai login`"
    )


@needs_core
def test_saved_settings_name_the_server_and_the_organization(home):
    save_settings(home, enterprise_base_url="https://amp.example/path", org_uuid="org-1")
    access = find_access({PAT: "pat"})
    assert (access.base_url, access.organization) == ("https://amp.example", "org-1")
    assert find_access({PAT: "pat", "CREWAI_PLUS_URL": "http://127.0.0.1:3000"}).base_url == "http://127.0.0.1:3000"


@needs_core
@pytest.mark.parametrize("text", ["", "{", "[]", '{"enterprise_base_url": 7}', '{"org_uuid": "a\\r\\nX: y"}', "\ud800"])
def test_settings_that_are_no_settings(home, text):
    folder = home / ".config" / "crewai"
    folder.mkdir(parents=True)
    (folder / "settings.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    access = find_access({PAT: "pat"})
    assert (access.base_url, access.organization) == (DEFAULT_URL, None)


@needs_core
def test_settings_in_a_folder_for_everybody_are_not_read(home, monkeypatch, tmp_path):
    """Where a home cannot be written to, crewAI itself reads what anybody may have left in the temp folder."""
    (home / ".config").write_text("not a folder")
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "crewai_settings.json").write_text('{"enterprise_base_url": "https://evil.example"}')
    monkeypatch.setattr("tempfile.tempdir", str(shared))
    assert find_access({PAT: "pat"}).base_url == DEFAULT_URL


@pytest.mark.parametrize(
    ("environ", "more"),
    [
        ({}, ""),
        ({PAT: ""}, " (CREWAI_USER_PAT is set, but empty)"),
        ({"GITHUB_EVENT_NAME": "push"}, ""),
        ({"GITHUB_EVENT_NAME": "pull_request", PAT: ""}, " (a pull request from a fork is given no secrets)"),
    ],
)
def test_s71_no_credential_is_one_line_with_the_remedy(home, environ, more):
    """S71: the reason that a run gives for not publishing."""
    found = find_access(environ)
    login = " or run `crewai login`" if find_spec("crewai_core") is not None else ""
    assert found == NoAccess(f"there is no credential for CrewAI AMP: set CREWAI_USER_PAT{login}{more}")
    assert "\n" not in found.reason


@pytest.mark.parametrize("token", ["two words", "a\r\nX-Evil: 1", "令牌", "\x1b[31m"])
def test_a_token_that_is_none_is_said_and_no_other_is_taken(home, token):
    """S69: without showing it."""
    found = find_access({PAT: f"x{token}x", PLATFORM: "platform"})
    assert found == NoAccess(
        "CREWAI_USER_PAT holds characters that no token has: set it to a valid personal access token"
    )


@pytest.mark.parametrize("url", ["app.crewai.com", "https://user:canary@amp.example", "ftp://amp.example", "https://"])
def test_a_server_that_is_none(home, url):
    found = find_access({PAT: "pat", "CREWAI_PLUS_URL": url})
    assert found == NoAccess(
        "CREWAI_PLUS_URL is no address of a server: it should look like https://app.crewai.com, without a user name"
    )


def test_anonymous_is_without_any_credential(home):
    assert find_access({PAT: "pat"}, anonymous=True) == Access(DEFAULT_URL, None)


def test_s69_secrets_are_not_in_a_repr(home):
    assert "canary" not in repr(find_access({PAT: "canary"}))


def test_importing_it_all_imports_no_crewai():
    code = (
        "import sys; import pytest_crewai_trace.publish.run, pytest_crewai_trace.publish.credentials as c;"
        "c.find_access({}); c.find_access({'CREWAI_USER_PAT': 'x'});"
        "print([name for name in sys.modules if name in ('crewai', 'opentelemetry.sdk', 'crewai_cli')])"
    )
    made = subprocess.run(
        [sys.executable, "-c", code], env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert made.stdout == "[]\n"
