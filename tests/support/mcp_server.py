"""A real MCP server in a process of its own: on loopback (streamable HTTP or SSE), or on standard input and output.

It is a script so that the logging that the ``mcp`` package sets up stays out of the process of the tests.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Transport = Literal["streamable-http", "sse"]


@contextmanager
def serving(transport: Transport = "streamable-http") -> Iterator[str]:
    """Serve on a free port of loopback; the value is the URL."""
    process = subprocess.Popen(
        [sys.executable, __file__, transport], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the MCP server did not start"
        yield url
    finally:
        process.kill()
        process.communicate()


def closed_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _main(transport: str) -> None:
    import uvicorn
    from mcp.server.fastmcp import FastMCP

    server = FastMCP("dictionary", log_level="CRITICAL")

    @server.tool()
    def lookup(word: str) -> str:
        """Look a word up."""
        return f"{word}: a word"

    @server.tool()
    def explode(reason: str) -> str:
        """Always fail."""
        raise ValueError(reason)

    if transport == "stdio":
        server.run("stdio")
        return
    app, path = (server.sse_app(), "/sse") if transport == "sse" else (server.streamable_http_app(), "/mcp")
    # Bound before the URL is told: whoever connects early waits in the backlog.
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}{path}", flush=True)  # noqa: T201 - this is how the URL is told
    uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listener])


if __name__ == "__main__":
    _main(sys.argv[1] if len(sys.argv) > 1 else "stdio")
