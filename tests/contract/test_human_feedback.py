"""What the trace shows when a flow asks a person: feedback, input, pauses, resumes."""

from __future__ import annotations

import asyncio
import json

import pytest
from crewai.flow.async_feedback import HumanFeedbackPending
from crewai.flow.flow import Flow, listen, start
from crewai.flow.human_feedback import human_feedback
from crewai.flow.input_provider import InputResponse
from crewai.flow.persistence import SQLiteFlowPersistence

from tests.support.crews import since, tree
from tests.support.llm import ScriptedLLM
from tests.support.openai import Answer, OpenAIServer


class Waits:
    """A person who answers another day."""

    def request_feedback(self, context, flow):
        raise HumanFeedbackPending(context=context)


class Answers:
    """A person who is asked by other means than the console."""

    def request_feedback(self, context, flow):
        return "nice"

    def request_input(self, message, flow, metadata=None):
        return InputResponse(text="AI", metadata={"by": "Ada"})


@pytest.fixture
def typed(monkeypatch):
    """The person at the console types this."""
    monkeypatch.setattr("builtins.input", lambda *_: "ship it")


@pytest.fixture
def store(tmp_path, monkeypatch):
    # To resume, crewAI builds the model of @human_feedback from its name, whether it will be asked or not.
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    return SQLiteFlowPersistence(str(tmp_path / "flows.db"))


# Feedback at once


def test_feedback(crewai_trace, typed):
    class Review(Flow):
        @start()
        @human_feedback(message="Good enough?")
        def draft(self):
            return "a draft"

        @listen(draft)
        def publish(self, review):
            return f"published: {review.feedback}"

    Review().kickoff()

    assert crewai_trace.render() == tree("""
        flow Review
          method draft -> {'feedback': 'ship it', 'outcome': None, 'output': 'a draft'}
            human_feedback feedback draft -> 'ship it'
          method publish -> 'published: ship it'
        """)
    feedback = crewai_trace.human_feedback.one()
    assert (feedback.message, feedback.feedback) == ("Good enough?", "ship it")


def test_feedback_that_a_model_turns_into_an_outcome(crewai_trace, typed):
    class Review(Flow):
        @start()
        @human_feedback(
            message="Good enough?",
            emit=["approved", "rejected"],
            llm=ScriptedLLM(json.dumps({"outcome": "approved"})),
        )
        def draft(self):
            return "a draft"

        @listen("approved")
        def publish(self, review):
            return f"published: {review.feedback}"

        @listen("rejected")
        def discard(self, review):
            return "discarded"

    Review().kickoff()

    assert crewai_trace.methods.names == ["draft", "publish"]
    assert crewai_trace.methods.first.result == "approved"
    assert [span.kind for span in crewai_trace.methods.first.children] == ["human_feedback", "llm"]
    assert crewai_trace.human_feedback.one().feedback == "ship it"


def test_a_provider_of_feedback_emits_nothing_of_its_own(crewai_trace):
    class Review(Flow):
        @start()
        @human_feedback(message="Good enough?", provider=Answers())
        def draft(self):
            return "a draft"

        @listen(draft)
        def publish(self, review):
            return f"published: {review.feedback}"

    Review().kickoff()

    assert crewai_trace.render() == tree("""
        flow Review
          method draft -> {'feedback': 'nice', 'outcome': None, 'output': 'a draft'}
          method publish -> 'published: nice'
        """)


# Feedback another day


class Approval(Flow):
    @start()
    def write(self):
        return "a text"

    @listen(write)
    @human_feedback(message="Good enough?", provider=Waits())
    def draft(self, text):
        return f"draft of {text}"

    @listen(draft)
    def publish(self, review):
        return f"published: {review.feedback}"


def test_s11_a_flow_that_waits_for_a_person(crewai_trace, store):
    assert isinstance(Approval(persistence=store).kickoff(), HumanFeedbackPending)

    assert crewai_trace.render() == tree("""
        flow Approval (paused)
          method write -> 'a text'
          method draft (paused)
        """)
    flow = crewai_trace.flows.one()
    assert (flow.paused, flow.status, flow.error) == (True, "unset", None)


def test_a_paused_flow_that_is_resumed(crewai_trace, store):
    paused = Approval(persistence=store)
    paused.kickoff()
    resumed = Approval.from_pending(paused.flow_id, store)

    assert resumed.resume("looks good") == "published: looks good"

    assert crewai_trace.render() == tree("""
        flow Approval (paused)
          method write -> 'a text'
          method draft (paused)
        flow Approval
          method draft -> {'feedback': 'looks good', 'outcome': None, 'output': 'draft of a text'}
          method publish -> 'published: looks good'
        """)


def test_a_paused_flow_that_is_resumed_in_a_loop(crewai_trace, store):
    async def main():
        paused = Approval(persistence=store)
        await paused.kickoff_async()
        return await Approval.from_pending(paused.flow_id, store).resume_async("looks good")

    assert asyncio.run(main()) == "published: looks good"

    assert crewai_trace.render() == tree("""
        flow Approval (paused)
          method write -> 'a text'
          method draft (paused)
        flow Approval
          method draft -> {'feedback': 'looks good', 'outcome': None, 'output': 'draft of a text'}
          method publish -> 'published: looks good'
        """)


def test_a_paused_flow_with_outcomes_that_is_resumed(crewai_trace, store):
    """Without an answer the default outcome is taken, and no model is asked."""

    class Gate(Flow):
        @start()
        @human_feedback(
            message="Good enough?",
            emit=["approved", "rejected"],
            llm=ScriptedLLM(),
            default_outcome="rejected",
            provider=Waits(),
        )
        def draft(self):
            return "a draft"

        @listen("rejected")
        def discard(self):
            return "discarded"

    paused = Gate(persistence=store)
    paused.kickoff()
    Gate.from_pending(paused.flow_id, store).resume("")

    assert crewai_trace.render() == tree("""
        flow Gate (paused)
          method draft (paused)
        flow Gate
          method draft -> 'rejected'
          method discard -> 'discarded'
        """)


def test_a_paused_flow_whose_answer_a_model_reads(crewai_trace, store, monkeypatch):
    class Gate(Flow):
        @start()
        @human_feedback(
            message="Good enough?", emit=["approved", "rejected"], llm="openai/gpt-4o-mini", provider=Waits()
        )
        def draft(self):
            return "a draft"

        @listen("approved")
        def publish(self):
            return "published"

    paused = Gate(persistence=store)
    paused.kickoff()
    with OpenAIServer([Answer(json.dumps({"outcome": "approved"}))]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        Gate.from_pending(paused.flow_id, store).resume("ship it")

    # crewAI came to say ever earlier that the flow goes on: after, before and while it asks the model.
    expected = {
        "1.13.0": """
            flow Gate (paused)
              method draft (paused)
            llm gpt-4o-mini -> '{"outcome":"approved"}'
            flow Gate
              method draft -> 'approved'
              method publish -> 'published'
            """,
        "1.14.7": """
            flow Gate (paused)
              method draft (paused)
            flow Gate
              llm gpt-4o-mini -> '{"outcome":"approved"}'
              method draft -> 'approved'
              method publish -> 'published'
            """,
        "1.15.21": """
            flow Gate (paused)
              method draft (paused)
            flow Gate
              method draft -> 'approved'
                llm gpt-4o-mini -> '{"outcome":"approved"}'
              method publish -> 'published'
            """,
    }
    assert crewai_trace.render() == tree(since(expected))


def test_a_flow_that_pauses_again_after_it_was_resumed(crewai_trace, store):
    class Two(Flow):
        @start()
        @human_feedback(message="First?", provider=Waits())
        def one(self):
            return 1

        @listen(one)
        @human_feedback(message="Second?", provider=Waits())
        def two(self):
            return 2

    paused = Two(persistence=store)
    paused.kickoff()
    Two.from_pending(paused.flow_id, store).resume("yes")

    assert crewai_trace.render() == tree("""
        flow Two (paused)
          method one (paused)
        flow Two (paused)
          method one -> {'feedback': 'yes', 'outcome': None, 'output': 1}
          method two (paused)
        """)


# Questions in the middle of a method


def test_a_method_that_asks_for_input(crewai_trace):
    class Interview(Flow):
        input_provider = Answers()

        @start()
        def gather(self):
            return self.ask("What topic?", metadata={"channel": "#research"})

    Interview().kickoff()

    assert crewai_trace.render() == tree("""
        flow Interview
          method gather -> 'AI'
            human_feedback input gather -> 'AI'
        """)
    asked = crewai_trace.human_feedback.one()
    assert (asked.message, asked.feedback) == ("What topic?", "AI")


def test_a_method_that_asks_twice(crewai_trace):
    class Typist:
        def __init__(self):
            self.answers = ["AI", "short"]

        def request_input(self, message, flow, metadata=None):
            return self.answers.pop(0)

    class Interview(Flow):
        input_provider = Typist()

        @start()
        def gather(self):
            return f"{self.ask('What topic?')}, {self.ask('How long?')}"

    Interview().kickoff()

    assert crewai_trace.render() == tree("""
        flow Interview
          method gather -> 'AI, short'
            human_feedback input gather -> 'AI'
            human_feedback input gather -> 'short'
        """)
    assert [span.message for span in crewai_trace.human_feedback] == ["What topic?", "How long?"]


def test_s11_a_question_that_nobody_answers(crewai_trace):
    class Gone:
        def request_input(self, message, flow, metadata=None):
            raise OSError("no terminal")

    class Interview(Flow):
        input_provider = Gone()

        @start()
        def gather(self):
            return self.ask("What topic?")

    Interview().kickoff()

    assert crewai_trace.render() == tree("""
        flow Interview
          method gather
            human_feedback input gather -> None
        """)
