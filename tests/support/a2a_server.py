"""A real A2A server on loopback, in a process of its own: an agent that answers at once, or fails."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def serving() -> Iterator[str]:
    """Serve on a free port of loopback; the value is the agent card's URL."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the A2A server did not start"
        yield f"{url}/.well-known/agent-card.json"
    finally:
        process.kill()
        process.communicate()


def _main() -> None:
    import uvicorn
    from a2a.server.agent_execution import AgentExecutor
    from a2a.server.apps import A2AStarletteApplication
    from a2a.server.request_handlers import DefaultRequestHandler
    from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
    from a2a.types import AgentCapabilities, AgentCard, AgentSkill, Part, TextPart

    class Weather(AgentExecutor):
        async def execute(self, context: Any, event_queue: Any) -> None:
            updater = TaskUpdater(event_queue, context.task_id, context.context_id)
            await updater.submit()
            await updater.start_work()
            text = "Sunny." if "storm" not in context.get_user_input() else "The station is down."
            message = updater.new_agent_message([Part(root=TextPart(text=text))])
            await (updater.complete(message) if text == "Sunny." else updater.failed(message))

        async def cancel(self, context: Any, event_queue: Any) -> None:
            raise NotImplementedError

    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    card = AgentCard(
        name="Weather station",
        description="Knows the weather",
        url=url,
        version="1.0.0",
        protocol_version="0.3.0",
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        capabilities=AgentCapabilities(streaming=True),
        skills=[AgentSkill(id="weather", name="weather", description="Tells the weather", tags=["weather"])],
    )
    handler = DefaultRequestHandler(agent_executor=Weather(), task_store=InMemoryTaskStore())
    app = A2AStarletteApplication(agent_card=card, http_handler=handler).build()
    print(url, flush=True)  # noqa: T201 - this is how the URL is told
    uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listener])


if __name__ == "__main__":
    _main()
