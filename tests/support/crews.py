"""Small crews, agents and tools that the contract tests share."""

from __future__ import annotations

import textwrap
from typing import Any

import crewai
from crewai import Agent, Crew, Task
from crewai.tools import tool
from packaging.version import Version

CREWAI = Version(crewai.__version__)


def tree(text: str) -> str:
    """An expected tree as it stands in a test: indented like the code around it."""
    return textwrap.dedent(text).strip("\n")


def asks(messages: Any) -> str:
    """Everything a model was asked, as one text, for replies that depend on it."""
    if isinstance(messages, str):
        return messages
    return "\n".join(str(message.get("content") or "") for message in messages)


@tool("search")
def search(query: str) -> str:
    """Search the web."""
    return f"results for {query}"


def flaky_tool(*errors: BaseException, name: str = "fetch") -> Any:
    """A tool that raises ``errors`` one after the other, then answers."""
    left = list(errors)

    @tool(name)
    def fetch(url: str) -> str:
        """Fetch a page."""
        if left:
            raise left.pop(0)
        return f"page {url}"

    return fetch


def agent(role: str, llm: Any, **options: Any) -> Agent:
    return Agent(role=role, goal=f"{role} goal", backstory=f"{role} backstory", llm=llm, **options)


def task(description: str, by: Any = None, kind: type[Task] = Task, **options: Any) -> Task:
    return kind(description=description, expected_output="a text", agent=by, **options)


def one_agent_crew(
    llm: Any,
    *,
    tools: list[Any] | None = None,
    name: str | None = None,
    crew: dict[str, Any] | None = None,
    **agent_options: Any,
) -> Crew:
    """A crew of one Researcher with one task "research"; ``crew`` are options of the crew."""
    researcher = agent("Researcher", llm, tools=tools or [], **agent_options)
    research = task("Research {topic}", researcher, name="research")
    return Crew(name=name, agents=[researcher], tasks=[research], **(crew or {}))


def since(trees: dict[str, str]) -> str:
    """What is expected where crewAI itself changed: of the newest version named that is not after the installed one."""
    return trees[max((version for version in trees if Version(version) <= CREWAI), key=Version)]
