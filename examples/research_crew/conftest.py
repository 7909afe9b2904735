"""A stand-in for serper.dev on loopback: SerperDevTool stays the real tool and sends real requests."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class SerperServer(ThreadingHTTPServer):
    """Answers every search with ``organic``, or with ``status`` when that is not 200; keeps the queries."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), SerperRequest)
        self.status = 200
        self.organic = [
            {
                "title": "Agents in 2026",
                "link": "https://example.org/agents",
                "snippet": "Agents got tests.",
                "position": 1,
            }
        ]
        self.queries: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class SerperRequest(BaseHTTPRequestHandler):
    server: SerperServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.queries.append(body["q"])
        answer = {"organic": self.server.organic} if self.server.status == 200 else {"message": "Unauthorized."}
        content = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the requests out of the test's output."""


@pytest.fixture
def serper(monkeypatch: pytest.MonkeyPatch) -> Iterator[SerperServer]:
    monkeypatch.setenv("SERPER_API_KEY", "not-a-real-key")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with SerperServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
