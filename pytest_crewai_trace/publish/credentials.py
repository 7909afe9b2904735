"""Which AMP, and in whose name: the environment, then what `crewai login` saved."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from pytest_crewai_trace.publish.addresses import origin
from pytest_crewai_trace.publish.grant import is_token

DEFAULT_URL = "https://app.crewai.com"
URL = "CREWAI_PLUS_URL"
PAT = "CREWAI_USER_PAT"
# The second is the name up to crewAI 1.15.25.
INTEGRATION = ("CREWAI_ENTERPRISE_ACTION_AUTH_TOKEN", "CREWAI_PLATFORM_INTEGRATION_TOKEN")
TOKENS = (PAT, *INTEGRATION)
_NEW_PAT = "set it to a valid personal access token"
_NEW_INTEGRATION = "set it to a valid integration token"
_LOGIN = "run `crewai login`"


@dataclass(frozen=True)
class Credential:
    """A token. ``source`` is what to call it in a message, ``remedy`` what to do when AMP refuses it."""

    token: str = field(repr=False)
    source: str
    remedy: str


@dataclass(frozen=True)
class Access:
    """Where traces go, and in whose name; without a ``credential`` anonymously."""

    base_url: str
    credential: Credential | None
    organization: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class NoAccess:
    """Why nothing can be published, and what to do: one sentence."""

    reason: str


class _UnusableError(ValueError):
    """Something is set, and is not what it should be."""


def find_access(environ: Mapping[str, str], *, anonymous: bool = False) -> Access | NoAccess:
    """The access that crewAI itself would use. ``anonymous``: without a credential, whatever there is.

    Imports ``crewai_core``, never ``crewai``.
    """
    try:
        saved = _Saved()
        base_url = _base_url(environ, saved)
        if anonymous:
            return Access(base_url, None)
        credential = _from_environment(environ) or saved.login()
    except _UnusableError as error:
        return NoAccess(str(error))
    if credential is None:
        remedy = f"set {PAT}" + (f" or {_LOGIN}" if saved.readable else "")
        return NoAccess(f"there is no credential for CrewAI AMP: {remedy}{_hint(environ)}")
    return Access(base_url, credential, saved.organization)


def _base_url(environ: Mapping[str, str], saved: _Saved) -> str:
    named = environ.get(URL, "").strip()
    try:
        return origin(named or saved.base_url or DEFAULT_URL)
    except ValueError as error:
        where = URL if named else "the base URL that `crewai config` saved"
        raise _UnusableError(f"{where} is no address of a server: {error}") from None


def _from_environment(environ: Mapping[str, str]) -> Credential | None:
    for name, remedy in ((PAT, _NEW_PAT), *((name, _NEW_INTEGRATION) for name in INTEGRATION)):
        token = environ.get(name, "").strip()
        if not token:
            continue
        if not is_token(token):  # and not the next one: somebody meant this one
            raise _UnusableError(f"{name} holds characters that no token has: {remedy}")
        return Credential(token, f"the token in {name}", remedy)
    return None


def _hint(environ: Mapping[str, str]) -> str:
    if environ.get("GITHUB_EVENT_NAME") == "pull_request":
        return " (a pull request from a fork is given no secrets)"
    empty = [name for name in TOKENS if name in environ]
    return f" ({empty[0]} is set, but empty)" if empty else ""


class _Saved:
    """What `crewai login` and `crewai config` left, read by ``crewai_core``; nothing where there is no such package."""

    def __init__(self) -> None:
        self._settings: Any = None
        self.readable = find_spec("crewai_core") is not None  # not with crewAI 1.13
        if self.readable:
            from crewai_core.settings import DEFAULT_CONFIG_PATH, Settings

            with suppress(Exception):  # a home that cannot be read is one where nothing is saved
                # Its own place and no other: crewAI's next choice is a folder that all users of the machine write to.
                self._settings = Settings(config_path=DEFAULT_CONFIG_PATH)

    @property
    def base_url(self) -> str | None:
        return getattr(self._settings, "enterprise_base_url", None)

    @property
    def organization(self) -> str | None:
        found = getattr(self._settings, "org_uuid", None)
        return found if is_token(found) else None

    def login(self) -> Credential | None:
        """The saved login, where there is one that has not expired."""
        token = None
        if self.readable:
            from crewai_core.token_manager import TokenManager

            with suppress(Exception):  # damaged, or of another machine
                token = TokenManager().get_token()
        return Credential(token, "the saved `crewai login`", f"{_LOGIN} again") if is_token(token) else None
