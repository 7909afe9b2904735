"""The seam to vcrpy: it puts itself between a run and its HTTP libraries, and asks a tape."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from vcr import patch as vcr_patch  # type: ignore[import-untyped]  # it has no types
from vcr.cassette import Cassette  # type: ignore[import-untyped]
from vcr.request import HeadersDict, Request  # type: ignore[import-untyped]
from vcr.stubs import httpx_stubs  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from pytest_crewai_trace.replay.tape import Tape


@contextmanager
def playing(path: Path, tape: Tape, **options: Any) -> Iterator[None]:
    """Ask a tape for what is sent, until the end; ``options`` are those of vcrpy's cassettes."""
    with (
        mock.patch.object(vcr_patch, "force_reset", _reset),
        mock.patch.object(httpx_stubs, "VcrRequest", LazyRequest),
        Player.use(path=str(path), tape=tape, **options),
    ):
        yield


class LazyRequest(Request):  # type: ignore[misc]  # it has no types
    """A request of vcrpy that copies the client's headers when somebody looks: with httpx's that takes long."""

    _headers: Any

    @property
    def headers(self) -> Any:
        if not isinstance(self._headers, HeadersDict):
            self._headers = HeadersDict(self._headers)
        return self._headers

    @headers.setter
    def headers(self, value: Any) -> None:
        self._headers = value


class Player(Cassette):  # type: ignore[misc]  # the same
    """What vcrpy's patches hold as the cassette."""

    tape: Tape

    @classmethod
    def load(cls, *, tape: Tape, **options: Any) -> Player:
        made = cls(**options)
        made.tape = tape
        return made

    write_protected = False  # the tape refuses by itself

    def can_play_response_for(self, request: Any) -> bool:
        return self.tape.has_reply(request)

    def play_response(self, request: Any) -> dict[str, Any]:
        return self.tape.reply(request)

    def append(self, request: Any, response: Any) -> None:
        self.tape.take(request, response)

    def filter_request(self, request: Any) -> Any:
        return request

    def find_requests_with_most_matches(self, request: Any) -> list[Any]:
        return []


_CONNECTIONS = {name: getattr(http.client, name) for name in ("HTTPConnection", "HTTPSConnection")}
_resetting = threading.RLock()


@contextmanager
def _reset() -> Iterator[None]:
    """Put the real connections back while one is made or used.

    vcrpy's own puts back all that it patched, of every library: what another thread sends meanwhile goes past the
    cassette. Only the standard library's connections look for themselves by their names.
    """
    with _resetting, mock.patch.multiple(http.client, **_CONNECTIONS):
        yield
