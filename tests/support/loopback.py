"""A server on loopback: each request is kept, then answered - as HTTP says, or in any other way on the connection."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request as it arrived; ``headers`` are case-insensitive by ``header()``."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), None)

    @property
    def plain(self) -> bytes:
        """The body, unpacked."""
        return gzip.decompress(self.body) if self.header("Content-Encoding") == "gzip" else self.body

    @property
    def json(self) -> Any:
        return json.loads(self.plain) if self.body else None


@dataclass(frozen=True)
class Reply:
    status: int = 200
    content: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode())


# Instead of a reply: what to do with the connection; the event is set when the server closes.
Raw = Callable[[socket.socket, threading.Event], None]


class Loopback:
    """``with Loopback(answer) as server``: at ``server.url``; ``requests`` in the order of their arrival.

    ``connections`` counts those that were opened. With ``tls`` it speaks https.
    """

    def __init__(self, answer: Callable[[Request], Reply | Raw], *, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self.requests: list[Request] = []
        self.connections = 0
        self._closing = threading.Event()
        self._lock = threading.Lock()
        loopback = self

        class Connection(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                with loopback._lock:
                    loopback.connections += 1
                super().setup()

            def handle_one(self) -> None:
                loopback._handle(self)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_one  # noqa: N815 - http.server's names

            def log_message(self, *_: Any) -> None:
                """Requests are kept in ``requests``, not printed."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 32

            def handle_error(self, *_: Any) -> None:
                """A client that goes away is no error of the server."""

        self._server = Server(("127.0.0.1", 0), Connection)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def before_body(self, request: Request) -> Raw | None:
        """What to do with a request whose body has not been read."""
        return None

    def _handle(self, connection: BaseHTTPRequestHandler) -> None:
        request = Request(connection.command, connection.path, dict(connection.headers.items()), b"")
        reply: Reply | Raw | None = self.before_body(request)
        if reply is None:
            body = connection.rfile.read(int(connection.headers.get("Content-Length") or 0))
            request = Request(request.method, request.path, request.headers, body)
        with self._lock:
            self.requests.append(request)
        if reply is None:
            reply = self._answer(request)
        if not isinstance(reply, Reply):
            connection.close_connection = True
            reply(connection.connection, self._closing)
            return
        connection.send_response(reply.status)
        length = str(len(reply.content))
        for name, value in {"Content-Type": reply.content_type, "Content-Length": length, **reply.headers}.items():
            connection.send_header(name, value)
        connection.end_headers()
        connection.wfile.write(reply.content)
