"""``crewai_llm`` in a user's suite: what fails, with which words, and that nothing of it stays."""

from __future__ import annotations

import pytest

SCRIPTED = """
from crewai import Agent, Crew, LLM, Task

def make_crew(**options):
    one = Agent(role="Researcher", goal="g", backstory="b", tools=[search], llm="gpt-4o")
    two = Agent(role="Writer", goal="g", backstory="b", llm="gpt-4o")
    tasks = [
        Task(name="research", description="Find", expected_output="x", agent=one),
        Task(name="write", description="Write", expected_output="x", agent=two),
    ]
    return Crew(agents=[one, two], tasks=tasks, **options)

"""


@pytest.fixture
def scripted(crews, monkeypatch):
    """A project without a key whose tests have ``make_crew``."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def run(text, *arguments, **outcomes):
        crews.tests(SCRIPTED + text)
        result = crews.run(*arguments)
        result.assert_outcomes(**outcomes)
        return result

    return run


def test_a_reply_too_few(scripted):
    result = scripted(
        """
def test_it(crewai_llm):
    crewai_llm.agent("Researcher").reply("found")
    crewai_llm.agent("Wrter").reply("written")
    make_crew().kickoff()
""",
        failed=1,
    )

    result.stdout.fnmatch_lines(
        [
            "*make_crew().kickoff()",
            "E *ScriptError: crewai_llm has no reply left for agent 'Writer' (task 'write'), request 2: *",
        ]
    )
    result.stdout.no_fnmatch_line("*crewai/agent*")
    text = result.stdout.str()
    assert "left for others are agent 'Wrter': 1" in text
    assert "did you mean 'Wrter'?" in text


def test_a_reply_too_few_that_somebody_catches(scripted):
    """A script that ran out fails the test, whoever swallows it."""
    result = scripted(
        """
def test_it(crewai_llm):
    try:
        make_crew().kickoff()
    except BaseException:
        pass
""",
        failed=1,
    )
    result.stdout.fnmatch_lines(["*crewai_llm has no reply left for agent 'Researcher' (task 'research'), request 1*"])


def test_a_script_that_runs_out_hangs_nothing(scripted):
    """S24: crewAI's threads wait for ever for what is no ``Exception``."""
    result = scripted(
        """
def one(**options):
    agent = Agent(role="R", goal="g", backstory="b", llm="gpt-4o", **options.pop("agent", {}))
    task = Task(description="d", expected_output="x", agent=agent, async_execution=options.pop("apart", False))
    return Crew(agents=[agent], tasks=[task], **options)

async def drain(streaming):
    async for _ in await streaming:
        pass

class Nested(Flow):
    @start()
    def sync(self):
        return one().kickoff().raw

    @start()
    async def coroutine(self):
        return (await one().akickoff()).raw

@pytest.mark.parametrize(
    "run",
    [
        lambda: list(one(stream=True).kickoff()),
        lambda: asyncio.run(drain(one(stream=True).kickoff_async())),
        lambda: one(apart=True).kickoff(),
        lambda: one(agent={"max_execution_time": 30}).kickoff(),
        lambda: asyncio.run(one().akickoff()),
        lambda: Nested().kickoff(),
    ],
)
def test_it(run, crewai_llm):
    run()
""",
        failed=6,
    )
    assert sum("ScriptError: crewai_llm has no reply left" in line for line in result.outlines) >= 6


def test_a_reply_too_many(scripted):
    result = scripted(
        """
def test_it(crewai_llm):
    crewai_llm.agent("Researcher").reply("found").reply("more")
    crewai_llm.agent("Reseacher").call_tool("search", query="AI")
    crewai_llm.task("wrte").reply("x")
    crewai_llm.default("written")
    make_crew().kickoff()
""",
        failed=1,
    )

    result.stdout.fnmatch_lines(
        [
            "crewai_llm has replies that nobody asked for:",
            "  agent 'Researcher': 1 of 2, next 'more'",
            "  agent 'Reseacher': 1 of 1, next search(query='AI') (no agent of that name asked; *'Researcher'? agents*",
            "  task 'wrte': 1 of 1, next 'x' (no task of that name asked; did you mean 'write'? *",
            "  asked: agent 'Researcher' (task 'research') x1, agent 'Writer' (task 'write') x1",
        ]
    )


def test_replies_left_beside_another_failure(scripted):
    result = scripted(
        """
def test_it(crewai_llm):
    crewai_llm.reply("x")
    assert 1 == 2
""",
        failed=1,
    )
    result.stdout.fnmatch_lines(
        ["E *assert 1 == 2", "*crewai replay*", "  anyone: 1 of 1, next 'x'", "  asked: nobody"]
    )


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("call_tool('serach', query='AI')", "there is no such tool; did you mean 'search'? offered: search"),
        ("call_tool('search', qery='AI')", "it takes no argument 'qery'; did you mean 'query'? it takes query"),
        ("call_tool('search')", "its arguments do not fit (query: Field required); it takes query"),
        ("call_tool('search', query=[1])", "its arguments do not fit (query: Input should be a valid string)"),
    ],
)
@pytest.mark.parametrize("native", [None, False])
def test_a_tool_call_that_does_not_fit(script, words, native, scripted):
    result = scripted(
        f"""
def test_it(crewai_llm):
    crewai_llm.function_calling = {native}
    crewai_llm.agent("Researcher").{script}
    make_crew().kickoff()
""",
        failed=1,
    )
    line = next(line for line in result.outlines if "ScriptError" in line)
    assert "the script has agent 'Researcher' (task 'research') call se" in line
    assert words in line


def test_a_tool_call_for_an_agent_without_tools(scripted):
    result = scripted(
        """
def test_it(crewai_llm):
    crewai_llm.agent("Researcher").reply("x")
    crewai_llm.agent("Writer").call_tool("search", query="AI")
    make_crew().kickoff()
""",
        failed=1,
    )
    result.stdout.fnmatch_lines(["*call search(query='AI'), but this call offers no tools*"])


def test_a_tool_call_that_is_meant_not_to_fit(scripted):
    scripted(
        """
def test_it(crewai_llm):
    crewai_llm.agent("Researcher").call_tools(ToolCall("search", {"qery": 1}), checked=False).reply("x")
    crewai_llm.agent("Writer").reply("y")
    make_crew().kickoff()
""",
        passed=1,
    )


def test_a_reply_that_does_not_fit_its_model(scripted):
    result = scripted(
        """
from pydantic import BaseModel

class Article(BaseModel):
    title: str
    words: int

def test_it(crewai_llm):
    crewai_llm.reply({"title": "AI"})
    LLM(model="gpt-4o").call("hi", response_model=Article)
""",
        failed=1,
    )
    line = next(line for line in result.outlines if "ScriptError" in line)
    assert "the reply {'title': 'AI'} does not fit Article, which is asked for: words: Field required; give" in line
    assert ".reply(Article(title=..., words=...))" in line


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("reply(3)", "TypeError: reply() takes a text, a pydantic model, a dict or a function of the request, not 3"),
        ("reply(ValueError('x'))", "TypeError: reply() takes what the model says; for ValueError('x') there are *"),
        ("fail('x')", "TypeError: fail() takes an exception, not 'x'"),
        ("fail(ValueError, times=0)", "ValueError: times=0: a model fails at least once"),
        ("stream('abc')", "TypeError: stream() takes a list of texts, not 'abc'"),
        ("call_tools('search')", "TypeError: call_tools() takes ToolCall(name, arguments), not 'search'"),
        ("call_tools()", "TypeError: call_tools() takes at least one ToolCall(name, arguments)"),
        ("when('x')", "TypeError: when() takes a function of the request, not 'x'"),
        ("reply('x', usage={'tokens': 1})", "ValueError: unknown usage field 'tokens'; *valid: input_tokens, *"),
        ("reply('x', usage={'input_tokens': -1})", "ValueError: usage input_tokens=-1 is not a number of tokens"),
        ("stream(None)", "TypeError: stream() takes a list of texts, not None"),
        ("fail(ValueError, times='2')", "ValueError: times='2': a model fails at least once"),
        ("agent(None)", "TypeError: agent() takes a name, not None"),
        ("task(7)", "TypeError: task() takes a name, not 7"),
        ("call_tool(3)", "TypeError: call_tool() takes a name, not 3"),
        ("reply('x', thinking=3)", "TypeError: thinking=3 is no text"),
        ("reply('x', finish_reason=3)", "TypeError: finish_reason=3 is no text"),
        ("usage = {'tokens': 1}", "ValueError: unknown usage field 'tokens'; *valid: input_tokens, *"),
        ("function_calling = 'no'", "TypeError: function_calling='no'; valid: True, False, None"),
        ("functon_calling = False", "AttributeError: crewai_llm has no 'functon_calling'; did you mean *calling'?"),
        (
            "agent('R').replay('x')",
            "AttributeError: unknown kind of reply 'replay'; did you mean 'reply'? valid: reply, *",
        ),
        ("reply(ToolCall)", "TypeError: reply() takes an answer, not its class: ToolCall(name=..., *)"),
        ("replay('x')", "AttributeError: crewai_llm has no 'replay'; did you mean 'reply'?"),
    ],
)
def test_bad_input(script, words, scripted):
    result = scripted(f"def test_it(crewai_llm):\n    crewai_llm.{script}\n", failed=1)
    result.stdout.fnmatch_lines([f"E *{words}"])


def test_two_tool_calls_at_once_as_text(scripted):
    result = scripted(
        """
def test_it(crewai_llm):
    crewai_llm.function_calling = False
    crewai_llm.call_tools(ToolCall("search", {"query": "a"}), ToolCall("search", {"query": "b"}))
    make_crew().kickoff()
""",
        failed=1,
    )
    assert "as ReAct text it can ask for one tool at a time" in result.stdout.str()


def test_a_function_that_gives_no_answer(scripted):
    result = scripted(
        "def test_it(crewai_llm):\n    crewai_llm.reply(lambda request: None)\n    make_crew().kickoff()", failed=1
    )
    result.stdout.fnmatch_lines(["*the function that replies to agent 'Researcher' (task 'research') returned None*"])


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "reply(lambda request: {}['x'])",
            "the function that replies to agent 'Researcher' (task 'research') raised Key",
        ),
        ("when(lambda request: {}['x']).reply('x')", "when(<lambda>) raised KeyError: 'x' for <Request"),
    ],
)
def test_a_function_that_raises(script, words, scripted):
    """It is no error of the model, which crewAI would ask again."""
    result = scripted(f"def test_it(crewai_llm):\n    crewai_llm.{script}\n    make_crew().kickoff()", failed=1)
    assert words in next(line for line in result.outlines if "ScriptError" in line)


def test_everything_is_put_back(scripted):
    """Also after a test that raised; a model that outlives its script says so."""
    result = scripted(
        """
from crewai.llms.base_llm import BaseLLM
from crewai.rag.embeddings import factory
from crewai.tools.base_tool import BaseTool
import socket

def everything():
    classes = {BaseLLM, BaseTool, LLM, socket.socket}
    for cls in (BaseLLM, BaseTool):
        classes |= set(cls.__subclasses__())
    return {
        (str(owner), name): value
        for owner in (*classes, factory, socket)
        for name, value in vars(owner).items()
        if name in ("call", "acall", "run", "connect", "getaddrinfo", "__new__", "__pydantic_init_subclass__")
        or "embed" in name
    }

from pytest_crewai_trace.replay.llm import ScriptedLLM  # a class of ours, which stays
before = {}
left = []

def test_nothing():
    before.update(everything())

def test_one(crewai_llm, crewai_faults):
    assert everything() != before
    left.append(LLM(model="gpt-4o"))
    raise RuntimeError("x")

def test_two():
    assert everything() == before
    left[0].call("hi")

def test_three(crewai_llm):
    crewai_llm.reply("found")
    assert left[0].call("hi") == "found"
""",
        failed=2,
        passed=2,
    )
    result.stdout.fnmatch_lines(
        [
            "*RuntimeError: x",
            "*ScriptError: the LLM 'gpt-4o' was built by a test with crewai_llm and is used without it*",
        ]
    )


def test_it_is_asked_for_in_the_test(scripted):
    result = scripted(
        """
def test_it(request):
    crewai_llm = request.getfixturevalue("crewai_llm")
    crewai_llm.default("x")
    assert make_crew().kickoff().raw == "x"

def test_left(request):
    request.getfixturevalue("crewai_llm").reply("x")
""",
        passed=1,
        failed=1,
    )
    result.stdout.fnmatch_lines(["crewai_llm has replies that nobody asked for:"])


def test_agents_of_a_module_without_a_key(scripted):
    """What cannot be built without a key does not end the collection, and fails where it is used without a script."""
    scripted(
        """
CREW = make_crew()

def test_scripted(crewai_llm):
    crewai_llm.default("x")
    assert CREW.kickoff().raw == "x"

def test_unscripted():
    with pytest.raises(Exception, match="(?i)api_key|connect"):
        CREW.agents[0].llm.call("hi")
""",
        "-k",
        "scripted and not unscripted",
        passed=1,
    )


def test_a_scripted_test_is_traced_and_guarded(crews, scripted):
    scripted(
        """
def test_it(crewai_llm):
    crewai_llm.default("x")
    make_crew().kickoff()

@pytest.mark.crewai_trace(enabled=False)
def test_not(crewai_llm):
    crewai_llm.default("x")
    make_crew().kickoff()
""",
        passed=2,
    )
    assert list(crews.traces) == ["test_it"]


NETWORK = """
import socket, http.server, urllib.request
from crewai.tools import tool

def fetch_from(url):
    return urllib.request.urlopen(url, timeout=2).status

@tool("fetch")
def fetch(url: str) -> str:
    '''Fetch a page.'''
    return str(fetch_from(url))

def make_fetcher():
    one = Agent(role="Fetcher", goal="g", backstory="b", tools=[fetch], llm="gpt-4o")
    return Crew(agents=[one], tasks=[Task(description="d", expected_output="x", agent=one)])

"""


@pytest.mark.parametrize("url", ["https://example.com/x", "http://192.0.2.1:8080/"])
def test_no_network(url, crews, scripted):
    """It is the first thing to be said, and nothing goes on: no agent hears of it, no model is asked again."""
    result = scripted(
        NETWORK
        + f"""
def test_it(crewai_llm):
    crewai_llm.call_tool("fetch", url="{url}").default("x")
    make_fetcher().kickoff()
""",
        failed=1,
    )
    host = "192.0.2.1:8080" if "192" in url else "example.com:443"
    result.stdout.fnmatch_lines(
        [
            "> *make_fetcher().kickoff()",
            "> *urllib.request.urlopen*",
            f"E *NetworkBlockedError: this test has a script and no network, but a connection was tried to {host}, *",
        ]
    )
    assert ", by tool 'fetch', agent 'Fetcher', test_it.py:" in result.stdout.str()
    result.stdout.no_fnmatch_line("*crewai/*")
    assert len(crews.traces["test_it"].llm_calls) == 1


def test_no_network_for_a_model_whose_client_tries_again(scripted):
    """In a thread that crewAI waits for it is an error of the network: what is none would leave crewAI waiting."""
    result = scripted(
        """
from openai import AsyncOpenAI, OpenAI
from crewai.tools import tool

ASKED = dict(model="m", messages=[{"role": "user", "content": "hi"}])

@tool("ask")
def ask(question: str) -> str:
    '''Ask a model past crewAI.'''
    return str(OpenAI(api_key="x", max_retries=0).chat.completions.create(**ASKED))

@tool("ask_async")
def ask_async(question: str) -> str:
    '''Ask a model past crewAI.'''
    return str(asyncio.run(AsyncOpenAI(api_key="x", base_url="http://192.0.2.1").chat.completions.create(**ASKED)))

@pytest.mark.parametrize("how", [{}, {"async_execution": True}])
@pytest.mark.parametrize("name", ["ask", "ask_async"])
@pytest.mark.crewai_trace
def test_it(name, how, crewai_llm):
    crewai_llm.call_tool(name, question="why?").default("x")
    one = Agent(role="Asker", goal="g", backstory="b", tools=[ask, ask_async], llm="gpt-4o")
    Crew(agents=[one], tasks=[Task(description="d", expected_output="x", agent=one, **how)]).kickoff()
""",
        failed=4,
    )
    told = [line for line in result.outlines if "this test has a script and no network, but " in line]
    assert sum("NetworkBlockedError" in line and line.startswith("E ") for line in told) == 2
    # In CI pytest's summary repeats the message, behind the test's name.
    assert told.count("this test has a script and no network, but connections were tried:") == 2
    result.stdout.no_fnmatch_line("*ExceptionGroup*")


def test_no_network_that_nobody_notices(scripted):
    result = scripted(
        """
import socket, threading

def test_it(crewai_llm):
    def work():
        try:
            socket.create_connection(("example.com", 80))
        except BaseException:
            pass
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
""",
        failed=1,
    )
    result.stdout.fnmatch_lines(
        ["this test has a script and no network, but connections were tried:", "  example.com:80*"]
    )


def test_no_network_async(scripted):
    result = scripted(
        """
import httpx

async def get():
    async with httpx.AsyncClient() as client:
        await client.get("https://example.com")

def test_it(crewai_llm):
    asyncio.run(get())
""",
        failed=1,
    )
    result.stdout.fnmatch_lines(["*NetworkBlockedError*example.com*test_it.py:* in get()*"])


def test_no_network_is_told_instead_of_what_followed(scripted):
    """The assertion that failed because of it is its cause in the report."""
    result = scripted(
        """
import socket

def test_it(crewai_llm):
    try:
        socket.create_connection(("example.com", 80))
        page = "page"
    except BaseException:
        page = None
    assert page == "page"
""",
        failed=1,
    )
    result.stdout.fnmatch_lines(
        ["*assert None == 'page'*", "*NetworkBlockedError: this test has a script and no network, but*"]
    )


def test_this_machine_can_be_reached(scripted):
    scripted(
        NETWORK
        + """
class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass

@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_it(host, crewai_llm):
    server = http.server.HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    crewai_llm.call_tool("fetch", url=f"http://{host}:{server.server_port}/").reply("x")
    make_fetcher().kickoff()
    server.shutdown()
    server.server_close()
""",
        passed=2,
    )


@pytest.mark.parametrize(
    ("marker", "ini"),
    [
        ("@pytest.mark.crewai_network(block=False)", ""),
        ("@pytest.mark.crewai_network(allow=['192.0.2.1'])", ""),
        ("", "crewai_block_network=false"),
    ],
)
def test_the_network_can_be_let_in(marker, ini, scripted):
    """The connection fails by itself: nothing listens there, and the socket does not wait."""
    scripted(
        f"""
import socket

{marker}
def test_it(crewai_llm):
    connection = socket.socket()
    connection.setblocking(False)
    with connection:
        try:
            connection.connect(("192.0.2.1", 9))
        except OSError:
            pass
""",
        *(["-o", ini] if ini else []),
        passed=1,
    )


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("crewai_network('x')", "takes keyword arguments only, not 'x'; valid: block=True|False, allow=*"),
        ("crewai_network(hosts=[])", "has no argument 'hosts'; valid: *"),
        ("crewai_network(block='no')", "block='no'; valid: *"),
        ("crewai_network(allow='host')", "allow='host'; valid: *"),
    ],
)
def test_a_mistake_in_the_marker(marker, words, crews):
    crews.tests(f"@pytest.mark.{marker}\ndef test_it(crewai_llm): pass", crews=False)

    result = crews.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *marker crewai_network*{words}"])


def test_a_fault_that_never_came(scripted):
    result = scripted(
        """
def test_it(crewai_llm, crewai_faults):
    crewai_llm.agent("Researcher").call_tool("search", query="AI").reply("x")
    crewai_llm.agent("Writer").reply("y")
    crewai_faults.tool("serach").fail(TimeoutError)
    crewai_faults.llm(agent="Nobody").rate_limit(times=2)
    make_crew().kickoff()
""",
        failed=1,
    )
    result.stdout.fnmatch_lines(
        [
            "crewai_faults has faults that never came about:",
            "  tool 'serach': TimeoutError, 0 of 1",
            "  LLM of agent 'Nobody': rate limit, 0 of 2",
            "  no tool 'serach' ran; did you mean 'search'?",
            "  tools that ran: search; agents that ran: Researcher, Writer; tasks that ran: research, write",
        ]
    )


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ("tool('x').fail('y')", "TypeError: fail() takes an exception, not 'y'"),
        ("tool('x').returns('y', times=0)", "ValueError: times=0: a fault comes at least once; times=None is always"),
        ("tool('x').returns('y', times=True)", "ValueError: times=True: a fault comes at least once; *"),
        ("tool('x').delay(-1)", "ValueError: delay(-1): seconds cannot be negative*"),
        ("tool('x').delay('1')", "ValueError: delay('1'): seconds cannot be negative, or no number"),
        ("tool(None)", "TypeError: tool() takes a name, not None"),
        ("llm(agent=3)", "TypeError: llm() takes a name, not 3"),
        ("llm().rate_limit(retry_after='soon')", "ValueError: retry_after('soon'): seconds *"),
        ("knowledge.fail('x')", "TypeError: fail() takes an exception, not 'x'"),
        ("tool('x').flail()", "AttributeError: unknown fault of a tool 'flail'; did you mean 'fail'? valid: fail, *"),
        ("llm().returns('x')", "AttributeError: unknown fault of a model 'returns'; *valid: rate_limit, timeout, *"),
        ("memory.timeout()", "AttributeError: unknown fault of a store 'timeout'; valid: unavailable, fail"),
        ("tol('x').timeout()", "AttributeError: unknown part of crewai_faults 'tol'; did you mean 'tool'? valid: *"),
        ("llm(role='x')", "TypeError: *'role'*"),
    ],
)
def test_bad_faults(faults, words, scripted):
    result = scripted(f"def test_it(crewai_faults):\n    crewai_faults.{faults}\n", failed=1)
    result.stdout.fnmatch_lines([f"E *{words}"])
