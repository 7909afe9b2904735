"""Snapshots of real crews: the same bytes in every run, and the right first line for each change of behaviour."""

from __future__ import annotations

import asyncio
import threading

import pytest

from examples.article_flow.flow import ArticleFlow
from examples.market_briefing.crew import briefing_crew
from pytest_crewai_trace.snapshot.changes import changes
from pytest_crewai_trace.snapshot.extension import Compared, Rendered
from pytest_crewai_trace.snapshot.messages import explain
from pytest_crewai_trace.snapshot.options import LEVELS, Options
from pytest_crewai_trace.snapshot.reading import Reading
from tests.support.llm import Call, Calls, ScriptedLLM


def text_of(span, level="content"):
    return Compared(span, Options.of(level=level)).snapshot().variants[0]


FULL = Options.of(level="full")
PRICE = Calls((Call("latest_price", {"company": "Acme"}),))


@pytest.mark.parametrize(("start", "runs"), [("kickoff", 100), ("akickoff", 20)])
def test_many_runs_of_a_crew_with_concurrent_tasks_give_one_snapshot(monkeypatch, crewai_trace, start, runs):
    """In half of the runs the one analyst waits for the other to be done, in half the other for the one."""

    def run(number):
        done = {"News Reader": threading.Event(), "Price Analyst": threading.Event()}
        first, second = ("News Reader", "Price Analyst")[:: -1 if number % 2 else 1]

        def reply(role, text):
            def answer(messages):
                if role == second and start == "kickoff":
                    done[first].wait(10)
                done[role].set()
                return text

            return answer

        model = ScriptedLLM(
            by_agent={
                "News Reader": [reply("News Reader", "news")],
                "Price Analyst": [PRICE, reply("Price Analyst", "42 EUR")],
                "Editor": ["brief"],
            },
            native=True,
        )
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        crew = briefing_crew()
        for agent in crew.agents:
            agent.llm = model
        if start == "kickoff":
            crew.kickoff(inputs={"company": "Acme"})
        else:
            asyncio.run(crew.akickoff(inputs={"company": "Acme"}))

    for number in range(runs):
        run(number)

    crews = crewai_trace.crews
    assert len(crews) == runs
    for level in LEVELS:
        assert len({text_of(crew, level) for crew in crews}) == 1


# -- one edit at a time ----------------------------------------------------------------------------------------


def briefing(crewai_llm, *, company="Acme", calls=1, brief="Acme: 42 EUR", edit=None):
    crew = briefing_crew()
    for _ in range(calls):
        crewai_llm.agent("Price Analyst").call_tool("latest_price", company=company)
    for role, text in {"News Reader": "news", "Price Analyst": "42 EUR", "Editor": brief, "Stand-in": brief}.items():
        crewai_llm.agent(role).default(text)
    if edit is not None:
        edit(crew)
    crew.kickoff(inputs={"company": "Acme"})


def with_another_editor(crew):
    crew.agents[2].role = "Stand-in"


def with_another_backstory(crew):
    for agent in crew.agents:
        agent.backstory = "Something else altogether."


def with_a_task_less(crew):
    crew.tasks[2].context = [crew.tasks[1]]
    del crew.tasks[0]


def article(crewai_llm, *verdicts):
    for number, verdict in enumerate(verdicts, start=1):
        crewai_llm.agent("Author").reply(f"Draft {number}.")
        crewai_llm.agent("Critic").reply(verdict)
    ArticleFlow().kickoff(inputs={"topic": "tests"})


def failing_article(crewai_llm):
    with pytest.raises(RuntimeError):
        article(crewai_llm, "No.", "No!", "Never.")


def first_difference(trace, level):
    """What the second of two runs did differently."""
    before, after = (text_of(root, level) for root in trace.roots)
    found = changes(*map(Reading().tree, (before, after)))
    return [*found.behaviour, *found.detail]


@pytest.mark.parametrize(
    ("edit", "first"),
    [
        (
            {"company": "Acme Inc"},
            'tool \'latest_price\' was called with company="Acme Inc" instead of "Acme"',
        ),
        ({"calls": 2}, "Price Analyst made 3 LLM calls instead of 2"),
        ({"edit": with_another_editor}, "task 'brief' was done by 'Stand-in' instead of 'Editor'"),
        ({"edit": with_a_task_less}, "task 'news' is gone"),
    ],
    ids=["tool argument", "extra call", "other agent", "task"],
)
def test_an_edit_of_behaviour_is_named_first(crewai_llm, crewai_trace, edit, first):
    briefing(crewai_llm)
    briefing(crewai_llm, **edit)

    assert first_difference(crewai_trace, "calls")[0] == first


def test_an_error_is_named_first(crewai_llm, crewai_trace, monkeypatch):
    def fail(company):
        raise LookupError(f"no price of {company}")

    briefing(crewai_llm)
    briefing(crewai_llm, edit=lambda crew: monkeypatch.setattr(crew.agents[1].tools[0], "func", fail))

    first = first_difference(crewai_trace, "calls")[0]
    assert first.startswith("tool 'latest_price' failed: ")
    assert "no price of Acme" in first


def test_another_output_is_named_at_its_level(crewai_llm, crewai_trace):
    briefing(crewai_llm)
    briefing(crewai_llm, brief="Buy!")

    assert first_difference(crewai_trace, "calls") == []
    assert (
        first_difference(crewai_trace, "content")[0] == 'crew \'briefing\' has output="Buy!" instead of "Acme: 42 EUR"'
    )


def test_another_route_is_named_first(crewai_llm, crewai_trace):
    article(crewai_llm, "APPROVE")
    article(crewai_llm, "Too long.", "APPROVE")

    said = first_difference(crewai_trace, "calls")
    assert said[:2] == [
        "method 'review' ran once more and chose \"revise\"",
        "method 'rewrite' is new",
    ]


def test_a_flow_that_fails_says_so_first(crewai_llm, crewai_trace):
    article(crewai_llm, "No.", "No!", "APPROVE")
    failing_article(crewai_llm)

    assert first_difference(crewai_trace, "calls")[0].startswith("method 'review' failed: \"RuntimeError: not approved")


def test_a_backstory_changes_no_snapshot_below_full(crewai_llm, crewai_trace):
    briefing(crewai_llm)
    briefing(crewai_llm, edit=with_another_backstory)

    for level in LEVELS[:-1]:
        assert first_difference(crewai_trace, level) == []
    said = first_difference(crewai_trace, "full")
    assert said
    assert all(" has messages." in sentence for sentence in said)


class Result:
    """What syrupy knows of a comparison."""

    exception = None
    snapshot_name = "test_x"
    snapshot_location = "test_x.crewai"

    def __init__(self, asserted, recalled):
        self.asserted_data, self.recalled_data = asserted, recalled


def test_full_names_the_version_of_crewai_when_only_texts_differ(crewai_llm, crewai_trace, request):
    briefing(crewai_llm)
    briefing(crewai_llm, edit=with_another_backstory)
    before, after = crewai_trace.roots
    now, then = (
        Compared(crew, Options.of(level="full"), crewai=v) for crew, v in ((after, "1.15.30"), (before, "1.13.0"))
    )

    lines = explain(Result(Rendered.of(now), str(Rendered.of(then))), request.node)

    assert str(Rendered.of(now)).startswith("crewai-trace snapshot 1, level full, crewAI 1.15.30\n")
    assert lines[0] == (
        "only texts that level 'full' shows differ, and crewAI is 1.15.30 instead of 1.13.0:"
        " its own words may have changed"
    )
