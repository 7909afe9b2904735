"""A flow around a crew: which way the router went, and what the crew was told in each round."""

import pytest
from syrupy.assertion import SnapshotAssertion

from examples.article_flow.flow import ArticleFlow
from pytest_crewai_trace import Script, Trace

TREE = """
flow ArticleFlow
  method write -> 'Too long.'
    crew writing
      task draft
        agent Author
          llm gpt-4o-mini -> 'Draft 1 about tests.'
      task judge
        agent Critic
          llm gpt-4o-mini -> 'Too long.'
  method review -> 'revise'
  method rewrite -> 'APPROVE'
    crew writing
      task draft
        agent Author
          llm gpt-4o-mini -> 'Draft 2 about tests.'
      task judge
        agent Critic
          llm gpt-4o-mini -> 'APPROVE'
  method review -> 'approve'
  method publish -> 'Draft 2 about tests.'
""".strip()


def judged(crewai_llm: Script, *verdicts: str) -> None:
    """The author writes one draft for each verdict of the critic."""
    for number, verdict in enumerate(verdicts, start=1):
        crewai_llm.agent("Author").reply(f"Draft {number} about tests.")
        crewai_llm.agent("Critic").reply(verdict)


def routes(trace: Trace) -> list[object]:
    return [method.result for method in trace.methods.named("review")]


def test_a_good_draft_is_published(crewai_llm: Script, crewai_trace: Trace) -> None:
    judged(crewai_llm, "APPROVE")

    ArticleFlow().kickoff(inputs={"topic": "tests"})

    assert routes(crewai_trace) == ["approve"]
    assert crewai_trace.methods.names == ["write", "review", "publish"]
    assert crewai_trace.task("draft").output == "Draft 1 about tests."
    assert crewai_trace.output == "Draft 1 about tests."


def test_a_bad_draft_is_written_again(crewai_llm: Script, crewai_trace: Trace) -> None:
    judged(crewai_llm, "Too long.", "APPROVE")

    ArticleFlow().kickoff(inputs={"topic": "tests"})

    assert routes(crewai_trace) == ["revise", "approve"]
    first, second = crewai_trace.crews
    assert first.inputs == {"topic": "tests", "remark": "none"}
    assert second.inputs == {"topic": "tests", "remark": "Too long."}
    assert "Too long." in second.task("draft").description


def test_each_round_costs_two_calls(crewai_llm: Script, crewai_trace: Trace) -> None:
    judged(crewai_llm, "Too long.", "APPROVE")
    crewai_llm.usage = {"input_tokens": 100, "output_tokens": 20}

    ArticleFlow().kickoff(inputs={"topic": "tests"})

    assert [crew.usage.requests for crew in crewai_trace.crews] == [2, 2]
    assert crewai_trace.method("write").usage.total_tokens == 240
    assert crewai_trace.flow("ArticleFlow").usage.total_tokens == 480


def test_the_author_does_not_get_a_fourth_try(crewai_llm: Script, crewai_trace: Trace) -> None:
    judged(crewai_llm, "Too long.", "Too short.", "Too bold.")

    with pytest.raises(RuntimeError, match="not approved after 3 drafts: Too bold"):
        ArticleFlow().kickoff(inputs={"topic": "tests"})

    assert len(crewai_trace.crews) == 3
    assert crewai_trace.methods.failed.names == ["review"]
    assert {str(error) for error in crewai_trace.errors} == {"RuntimeError: not approved after 3 drafts: Too bold."}
    assert "publish" not in crewai_trace.methods.names


def test_the_whole_run(crewai_llm: Script, crewai_trace: Trace) -> None:
    judged(crewai_llm, "Too long.", "APPROVE")

    ArticleFlow().kickoff(inputs={"topic": "tests"})

    assert crewai_trace.render() == TREE


@pytest.mark.parametrize("verdicts", [("APPROVE",), ("Too long.", "APPROVE")], ids=["at once", "after a remark"])
def test_both_ways_through_the_flow(
    verdicts: tuple[str, ...], crewai_llm: Script, crewai_trace: Trace, crewai_snapshot: SnapshotAssertion
) -> None:
    """Who did what, and what came out of it."""
    judged(crewai_llm, *verdicts)

    ArticleFlow().kickoff(inputs={"topic": "tests"})

    assert crewai_trace == crewai_snapshot(level="content")
