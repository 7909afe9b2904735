"""One line to the servers: a kept-alive client for one request at a time, bounded in time and in what it reads."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import traceback
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from pytest_crewai_trace.capture.guard import OURS

MOST_ANSWER = 65_536  # bytes; the answers of both protocols are far smaller
_LATE = "did not answer in time"
_OPENED = (".connect_tcp.complete", ".start_tls.complete")
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "httpcore.socks")


class TroubleError(Exception):
    """A request without a usable answer; its text is ours, never the server's. ``again``: it may pass."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


@dataclass(frozen=True)
class Request:
    """A request, ready to be sent as often as it takes."""

    method: str
    url: str
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """An answer, whatever its status; what it says is only read where it is a 2xx."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def trusted() -> ssl.SSLContext:
    """The certificates that are trusted: httpx's, or those of ``SSL_CERT_FILE``; for all lines together."""
    return httpx.create_ssl_context()


class Line:
    """Sends one request after the other. ``cut`` may come from another thread and ends the one under way."""

    def __init__(self, verify: ssl.SSLContext) -> None:
        cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        self._client = httpx.Client(verify=verify, cookies=cookies, follow_redirects=False)
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._cut = False

    def close(self) -> None:
        self._client.close()

    def cut(self) -> None:
        """End the request under way: a read of it returns at once, and there are no others until ``mend``."""
        with self._lock:
            self._cut = True
            for one in self._sockets:
                with suppress(OSError):
                    socket.socket.shutdown(one, socket.SHUT_RDWR)

    def mend(self) -> None:
        """Take the next request."""
        self._cut = False

    def send(self, request: Request, seconds: float) -> Answer:
        """The answer to a request, of which no wait takes longer than so many seconds.

        Raises:
            TroubleError: there is none, or it is longer than any that we wait for.
        """
        try:
            answer = self._exchange(request, seconds)
        except TroubleError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a server can bring about
            raise _trouble(error, late=self._cut) from None
        if self._cut:  # an answer that ends where the connection does would look whole
            raise TroubleError(_LATE, again=True)
        return answer

    def _exchange(self, request: Request, seconds: float) -> Answer:
        built = self._client.build_request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.body,
            timeout=httpx.Timeout(seconds),
            extensions={"trace": self._note, OURS: True},
        )
        response = self._client.send(built, stream=True)
        try:
            return Answer(response.status_code, response.headers, _body(response))
        finally:
            response.close()

    def _note(self, name: str, info: Mapping[str, Any]) -> None:
        """httpcore tells what it does; a new connection is one that can be cut."""
        if name.endswith(_OPENED):
            opened = info["return_value"].get_extra_info("socket")
            if isinstance(opened, socket.socket):
                with self._lock:
                    self._sockets = [*(one for one in self._sockets if one.fileno() != -1), opened]
                if self._cut:
                    self.cut()


def _body(response: httpx.Response) -> bytes:
    if not response.is_success:
        return b""
    raw = bytearray()
    for chunk in response.iter_raw():
        raw += chunk
        if len(raw) > MOST_ANSWER:
            raise TroubleError(f"gave an answer of more than {MOST_ANSWER:,} bytes", again=False)
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding == "identity" or not raw:
        return bytes(raw)
    if encoding not in {"gzip", "deflate"}:
        raise TroubleError("gave a compressed answer that was not asked for", again=False)
    try:
        body = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(bytes(raw), MOST_ANSWER + 1)
    except zlib.error:
        raise TroubleError("gave an answer that cannot be unpacked", again=False) from None
    if len(body) > MOST_ANSWER:
        raise TroubleError(f"gave an answer of more than {MOST_ANSWER:,} bytes, unpacked", again=False)
    return body


def _trouble(error: Exception, *, late: bool) -> TroubleError:
    """What went wrong, in our words: the texts of these errors can quote the server. ``late``: it was cut."""
    causes = set(map(type, _causes(error)))

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(issubclass(cause, kinds) for cause in causes)

    if isinstance(error, httpx.ConnectTimeout) or (late and isinstance(error, httpx.ConnectError)):
        return TroubleError("could not be reached in time", again=True)
    if isinstance(error, httpx.TimeoutException) or late:
        return TroubleError(_LATE, again=True)
    if caused_by(ssl.SSLCertVerificationError):
        return TroubleError("showed a certificate that is not to be trusted", again=False)
    if caused_by(ssl.SSLError) and isinstance(error, httpx.ConnectError):
        return TroubleError("does not speak TLS as it should", again=False)
    if caused_by(socket.gaierror) or _in_look_up(error):
        return TroubleError("has a name that cannot be looked up", again=True)
    if caused_by(ConnectionRefusedError):
        return TroubleError("refused the connection", again=True)
    if isinstance(error, httpx.ProxyError):
        return TroubleError("could not be reached through the proxy", again=True)
    if isinstance(error, httpx.ConnectError):
        return TroubleError("could not be reached", again=True)
    if isinstance(error, httpx.TransportError):
        return TroubleError("broke off the connection", again=True)
    return TroubleError(f"could not be asked ({type(error).__name__})", again=False)


def _in_look_up(error: BaseException) -> bool:
    """Whether it came while a name was looked up: where the resolver itself fails, it is a plain ``OSError``."""
    frames = (frame for cause in _causes(error) for frame, _ in traceback.walk_tb(cause.__traceback__))
    return any(frame.f_code.co_name == "getaddrinfo" for frame in frames)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what httpx logs of our requests - answers, headers - out of every log; other threads are not touched."""
    ours = threading.current_thread()

    def not_ours(record: logging.LogRecord) -> bool:
        return record.thread != ours.ident

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(not_ours)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(not_ours)
