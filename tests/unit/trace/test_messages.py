"""Conversations that share what they have in common read like plain lists."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crewai_trace.trace.messages import Messages

parts = st.lists(st.fixed_dictionaries({"content": st.text(max_size=3)}), max_size=4)


@st.composite
def chains(draw):
    """Conversations, each of which goes on from some place of one before it, and the same as plain lists."""
    shared, lists = [Messages()], [[]]
    for tail in draw(st.lists(parts, max_size=8)):
        base = draw(st.integers(0, len(shared) - 1))
        kept = draw(st.integers(0, len(lists[base])))
        shared.append(Messages(tail, shared[base], kept))
        lists.append([*lists[base][:kept], *tail])
    return shared, lists


@given(chains(), st.data())
def test_a_conversation_reads_like_a_list(chain, data):
    for messages, plain in zip(*chain, strict=True):
        assert len(messages) == len(plain)
        assert bool(messages) == bool(plain)
        assert list(messages) == messages.to_list() == plain
        assert messages == plain
        assert messages == tuple(plain)
        assert messages == Messages(plain)
        assert messages != [*plain, {"content": "more"}]
        assert messages != "text"
        assert repr(messages) == repr(plain)
        assert list(reversed(messages)) == plain[::-1]
        part = data.draw(st.slices(len(plain)))
        assert messages[part] == plain[part]
        for place in range(-len(plain), len(plain)):
            assert messages[place] == plain[place]
            assert plain[place] in messages
        with pytest.raises(IndexError):
            messages[len(plain)]


@given(chains())
def test_equal_conversations_are_equal_however_they_are_kept(chain):
    shared, lists = chain
    for one, plain in zip(shared, lists, strict=True):
        for other, other_plain in zip(shared, lists, strict=True):
            assert (one == other) == (plain == other_plain)


def test_a_list_that_was_given_may_change_afterwards():
    given_list = [{"content": "a"}]
    messages = Messages(given_list)
    given_list.append({"content": "b"})
    messages.to_list().append({"content": "c"})

    assert messages == [{"content": "a"}]


def test_memory_grows_with_what_is_new_in_each_call():
    """S60: of 1,000 calls, each with the whole conversation so far, 1,000 messages are kept and not 500,000."""
    chain = [Messages()]
    for number in range(1_000):
        chain.append(Messages([{"content": f"message {number}"}], chain[-1], number))

    assert sum(len(messages.tail) for messages in chain) == 1_000
    assert len(chain[-1]) == 1_000
    assert len({id(message) for messages in chain for message in messages}) == 1_000


def test_a_long_chain_is_read_copied_and_let_go_without_recursion():
    """S59"""
    messages = Messages()
    for number in range(100_000):
        messages = Messages([{"content": number}] if number % 100 == 0 else [], messages, len(messages))

    assert len(messages) == len(messages.to_list()) == 1_000
    assert copy.deepcopy(messages) == messages
    assert pickle.loads(pickle.dumps(messages)) == messages
    del messages
