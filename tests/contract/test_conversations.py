"""What the trace shows of conversational flows: a span for each turn, messages and routes as span events."""

from __future__ import annotations

import pytest
from crewai.flow.flow import Flow, listen

from tests.support.crews import tree
from tests.support.llm import ScriptedLLM
from tests.support.versions import before

if before("1.14.7"):
    pytest.skip("crewAI has conversational flows since 1.14", allow_module_level=True)

from crewai.experimental import ConversationConfig, RouterConfig

# crewAI says when a turn begins and ends since 1.15; before, only the flow is seen.
TURNS = not before("1.15.0")
needs_turns = pytest.mark.skipif(not TURNS, reason="this crewAI does not say when a turn begins and ends")


def chat(*replies, **config):
    class Chat(Flow):
        conversational = True
        conversational_config = ConversationConfig(llm=ScriptedLLM(*replies), system_prompt="Be kind.", **config)

    return Chat()


def orders(route):
    class Orders(Flow):
        conversational = True
        conversational_config = ConversationConfig(
            router=RouterConfig(llm=ScriptedLLM(f'{{"intent": "{route}"}}')), defer_trace_finalization=False
        )

        @listen("ORDER")
        def order(self):
            """Take an order."""
            return "One pizza."

    return Orders()


def messages(span):
    said = [event.attributes for event in span.events if event.name == "conversation_message_added"]
    return [(message["role"], message["content"]) for message in said]


def test_a_turn(crewai_trace):
    chat("Hello!", defer_trace_finalization=False).handle_turn("Hi", session_id="s1")

    with_turn = """
        conversation Chat
          flow Chat
            method route_conversation -> 'converse'
            method converse_turn -> 'Hello!'
              llm gpt-4o-mini -> 'Hello!'
        """
    without = """
        flow Chat
          method route_conversation -> 'converse'
          method converse_turn -> 'Hello!'
            llm gpt-4o-mini -> 'Hello!'
        """
    assert crewai_trace.render() == tree(with_turn if TURNS else without)


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "left_open"])
def test_two_turns_of_one_session(crewai_trace, finished):
    """By default one flow lasts for the whole session, until ``finalize_session_traces``."""
    flow = chat("Hello!", "Fine.")
    flow.handle_turn("Hi", session_id="s1")
    flow.handle_turn("How are you?", session_id="s1")
    if finished:
        flow.finalize_session_traces()

    state = "" if finished else " (open)"
    with_turns = f"""
        conversation Chat
          flow Chat{state}
            method route_conversation -> 'converse'
            method converse_turn -> 'Hello!'
              llm gpt-4o-mini -> 'Hello!'
        conversation Chat
          method route_conversation -> 'converse'
          method converse_turn -> 'Fine.'
            llm gpt-4o-mini -> 'Fine.'
        """
    without = f"""
        flow Chat{state}
          method route_conversation -> 'converse'
          method converse_turn -> 'Hello!'
            llm gpt-4o-mini -> 'Hello!'
          method route_conversation -> 'converse'
          method converse_turn -> 'Fine.'
            llm gpt-4o-mini -> 'Fine.'
        """
    assert crewai_trace.render() == tree(with_turns if TURNS else without)


@needs_turns
def test_two_turns_with_a_flow_for_each(crewai_trace):
    flow = chat("Hello!", "Fine.", defer_trace_finalization=False)
    flow.handle_turn("Hi", session_id="s1")
    flow.handle_turn("How are you?", session_id="s1")

    assert crewai_trace.render() == tree("""
        conversation Chat
          flow Chat
            method route_conversation -> 'converse'
            method converse_turn -> 'Hello!'
              llm gpt-4o-mini -> 'Hello!'
        conversation Chat
          flow Chat
            method route_conversation -> 'converse'
            method converse_turn -> 'Fine.'
              llm gpt-4o-mini -> 'Fine.'
        """)
    assert [turn.usage.requests for turn in crewai_trace.conversation_turns] == [1, 1]


@needs_turns
def test_s11_a_turn_that_fails(crewai_trace):
    with pytest.raises(ValueError, match="model down"):
        chat(ValueError("model down")).handle_turn("Hi", session_id="s1")

    assert crewai_trace.render() == tree("""
        conversation Chat !! ValueError: model down
          flow Chat (open)
            method route_conversation -> 'converse'
            method converse_turn !! ValueError: model down
              llm gpt-4o-mini !! ValueError: model down
        """)


def test_a_route(crewai_trace):
    orders("ORDER").handle_turn("A pizza, please", session_id="s1")

    with_turn = """
        conversation Orders
          flow Orders
            method route_conversation -> 'ORDER'
              llm gpt-4o-mini -> {'intent': 'ORDER'}
            method order -> 'One pizza.'
        """
    without = """
        flow Orders
          method route_conversation -> 'ORDER'
            llm gpt-4o-mini -> {'intent': 'ORDER'}
          method order -> 'One pizza.'
        """
    assert crewai_trace.render() == tree(with_turn if TURNS else without)
    (selected,) = crewai_trace.method("route_conversation").events
    assert (selected.name, selected.attributes["route"]) == ("conversation_route_selected", "ORDER")


@needs_turns
def test_messages_are_in_their_turn(crewai_trace):
    flow = chat("Hello!", "Fine.")
    flow.handle_turn("Hi", session_id="s1")
    flow.handle_turn("How are you?", session_id="s1")

    said = [
        [line for span in (turn, *turn.spans) for line in messages(span)] for turn in crewai_trace.conversation_turns
    ]
    assert said == [
        [("user", "Hi"), ("assistant", "Hello!")],
        [("user", "How are you?"), ("assistant", "Fine.")],
    ]


@needs_turns
def test_the_message_that_follows_the_flow_is_in_the_turn(crewai_trace):
    """crewAI turns the result of a route into a message; some versions do so when the flow has ended."""
    orders("ORDER").handle_turn("A pizza, please", session_id="s1")

    turn = crewai_trace.conversation_turns.one()
    said = [line for span in (turn, *turn.spans) for line in messages(span)]
    assert sorted(said) == [("assistant", "One pizza."), ("user", "A pizza, please")]
