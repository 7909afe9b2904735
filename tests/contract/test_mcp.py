"""MCP: tools of a real server over each transport, a tool that fails, a server that is down."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from crewai import Crew
from crewai.mcp import MCPServerHTTP, MCPServerSSE, MCPServerStdio

from pytest_crewai_trace import ToolCall, Trace
from tests.support import mcp_server
from tests.support.crews import agent, asks, task, tree
from tests.support.llm import Calls, ScriptedLLM, calls, final, react
from tests.support.versions import before

# From 1.15.21 on, and on Python before 3.12, leaving a server over streamable HTTP raises after the tool has answered.
DISCONNECT_RAISES = not before("1.15.21") and sys.version_info < (3, 12)


@pytest.fixture(scope="module")
def http() -> Iterator[str]:
    with mcp_server.serving("streamable-http") as url:
        yield url


@pytest.fixture(scope="module")
def sse() -> Iterator[str]:
    with mcp_server.serving("sse") as url:
        yield url


LOOK_UP, FAIL = "Look a word up.", "Always fail."  # what the server says that its tools do


def calls_offered(llm: ScriptedLLM, purpose: str, **arguments: Any) -> Callable[[Any], Calls]:
    """Call the tool of this purpose. crewAI puts the server, with its port or path, before its name, and cuts that."""

    def reply(messages: Any) -> Calls:
        offers = [offer["function"] for offer in llm.requests[-1]["tools"]]
        names = [offer["name"] for offer in offers if purpose in offer["description"]]
        assert len(names) == 1, offers
        return calls(names[0], **arguments)

    return reply


def clerk_crew(llm: ScriptedLLM, *servers: Any, tools: Any = ()) -> Crew:
    clerk = agent("Clerk", llm, mcps=list(servers) or None, tools=list(tools))
    return Crew(agents=[clerk], tasks=[task("What is a cat?", clerk, name="answer")])


def run_native(server: Any, purpose: str, **arguments: Any) -> None:
    llm = ScriptedLLM(native=True)
    llm._replies[:] = [calls_offered(llm, purpose, **arguments), "A word"]
    clerk_crew(llm, server).kickoff()


def test_a_tool_over_sse(crewai_trace: Trace, sse: str) -> None:
    run_native(MCPServerSSE(url=sse), LOOK_UP, word="cat")

    name = crewai_trace.tools.one().name
    server = sse.removeprefix("http://")
    assert name.endswith("_sse_lookup")
    assert crewai_trace.render() == tree(
        f"""
        crew crew
          mcp {server}
          task answer
            agent Clerk
              llm gpt-4o-mini -> {name}(word='cat')
              tool {name}(word='cat') -> 'cat: a word'
                mcp {server}
              llm gpt-4o-mini -> 'A word'
        """
    )
    assert {(span.url, span.transport) for span in crewai_trace.mcp_connections} == {(sse, "sse")}


def test_one_call_of_the_model_is_one_tool_call(crewai_trace: Trace, sse: str) -> None:
    """crewAI tells of it twice: as the agent's tool and as the client's."""
    run_native(MCPServerSSE(url=sse), LOOK_UP, word="cat")

    name = crewai_trace.tools.one().name
    call = ToolCall(name, {"word": "cat"}, result="cat: a word", agent="Clerk", task="answer")
    assert crewai_trace.tool_calls == [call]
    assert crewai_trace.tools.one().mcp_server is not None


def test_a_tool_by_react_where_its_name_is_written_in_two_ways(crewai_trace: Trace, sse: str) -> None:
    def asks_for_lookup(messages: Any) -> str:
        found = re.search(r"Tool Name: (\S+lookup)", asks(messages))
        assert found is not None
        return react(found[1], word="cat")

    clerk_crew(ScriptedLLM(asks_for_lookup, final("A word")), MCPServerSSE(url=sse)).kickoff()

    tool = crewai_trace.tools.one()
    assert (tool.arguments, tool.result, tool.status) == ({"word": "cat"}, "cat: a word", "ok")
    assert ":" not in tool.name


def test_a_tool_over_standard_input_and_output(crewai_trace: Trace) -> None:
    run_native(MCPServerStdio(command=sys.executable, args=[mcp_server.__file__, "stdio"]), LOOK_UP, word="cat")

    tool = crewai_trace.tools.one()
    assert (tool.arguments, tool.result, tool.status) == ({"word": "cat"}, "cat: a word", "ok")
    assert [(span.kind, span.status) for span in crewai_trace.crews.one().children] == [("mcp", "ok"), ("task", "ok")]
    assert [(span.kind, span.status) for span in tool.children] == [("mcp", "ok")]


def test_a_tool_over_streamable_http(crewai_trace: Trace, http: str) -> None:
    run_native(MCPServerHTTP(url=http), LOOK_UP, word="cat")

    tool = crewai_trace.tools.one()
    assert tool.name.endswith("_mcp_lookup")
    assert [(span.kind, span.status) for span in tool.children] == [("mcp", "ok")]
    if DISCONNECT_RAISES:
        assert tool.error is not None
        assert "Error during MCP client disconnect" in tool.error.message
    else:
        assert (tool.result, tool.error) == ("cat: a word", None)


def test_a_tool_that_fails(crewai_trace: Trace, sse: str) -> None:
    """Before 1.15.21 crewAI itself reports the server's ``isError`` as the tool's ordinary result."""
    run_native(MCPServerSSE(url=sse), FAIL, reason="no cats")

    name = crewai_trace.tools.one().name
    server = sse.removeprefix("http://")
    assert crewai_trace.render() == tree(
        f"""
        crew crew
          mcp {server}
          task answer
            agent Clerk
              llm gpt-4o-mini -> {name}(reason='no cats')
              tool {name}(reason='no cats') !! Error executing tool explode: no cats
                mcp {server}
              llm gpt-4o-mini -> 'A word'
        """
    )
    assert crewai_trace.tool_calls[0].error == "Error executing tool explode: no cats"


def test_a_server_that_is_down(crewai_trace: Trace) -> None:
    with pytest.raises(Exception, match="MCP"):
        clerk_crew(
            ScriptedLLM("A word"), MCPServerHTTP(url=f"http://127.0.0.1:{mcp_server.closed_port()}/mcp")
        ).kickoff()

    crew, connection = crewai_trace.spans
    assert (crew.kind, crew.status) == ("crew", "error")
    assert (connection.kind, connection.status) == ("mcp", "error")
    assert connection.parent is not None
    assert connection.parent.id == crew.id
    assert connection.error is not None
    assert connection.error.message  # differs with the versions of crewAI and Python


def test_tools_of_the_adapter_of_crewai_tools(crewai_trace: Trace, http: str) -> None:
    """Its calls do not go through crewAI's own client: they are tools like any other."""
    pytest.importorskip("mcpadapt", reason="the mcp extra of crewai-tools is not installed")
    from crewai_tools import MCPServerAdapter

    with MCPServerAdapter({"url": http, "transport": "streamable-http"}) as tools:
        llm = ScriptedLLM(calls("lookup", word="cat"), calls("explode", reason="no cats"), "A word", native=True)
        clerk_crew(llm, tools=tools).kickoff()

    assert crewai_trace.render() == tree(
        """
        crew crew
          task answer
            agent Clerk
              llm gpt-4o-mini -> lookup(word='cat')
              tool lookup(word='cat') -> 'cat: a word'
              llm gpt-4o-mini -> explode(reason='no cats')
              tool explode(reason='no cats') -> 'Error executing tool explode: no cats'
              llm gpt-4o-mini -> 'A word'
        """
    )
