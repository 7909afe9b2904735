"""How values are compared and shown."""

from __future__ import annotations

import functools
import re
from unittest.mock import ANY

import pytest
from dirty_equals import AnyThing, IsDict, IsInt, IsPartialDict, IsStr
from hypothesis import given

from pytest_crewai_trace.expectations.values import both, describe, differences, listed
from tests.unit.strategies import plain_values


def told(expected, actual, **options):
    return [str(one) for one in differences(expected, actual, **options)]


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1, 1),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}),
        (IsStr(), "x"),
        ({"a": IsInt(gt=2)}, {"a": 3}),
        (IsPartialDict(a=1), {"a": 1, "b": 2}),
        (IsDict(a=1), {"a": 1}),
        (ANY, object()),
        ({"a": ANY}, {"a": 1}),
        (re.compile("^a"), "abc"),
        ({"a": [re.compile("b")]}, {"a": ["abc"]}),
        (lambda value: value > 1, 2),
        ({"a": str.islower}, {"a": "x"}),
        (functools.partial(isinstance, "x"), str),
        ([1, 2], (1, 2)),
        (int, int),
    ],
)
def test_equal(expected, actual):
    assert differences(expected, actual) == []


@pytest.mark.parametrize(
    ("expected", "actual", "options", "message"),
    [
        (1, 2, {}, ["expected 1, got 2"]),
        ({"a": 1}, {"a": 1, "b": 2}, {}, ["b: expected nothing, got 2"]),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, {}, ["a.b[1].c: expected 2, got 3"]),
        ({"a": [1]}, {"a": [1, 2]}, {}, ["a: expected [1], got [1, 2]"]),
        ({"a": 1}, {}, {"partial": True}, ["a: expected 1, got nothing"]),
        (re.compile("^a"), "b", {}, ["expected /^a/, got 'b'"]),
        (re.compile("1"), 1, {}, ["expected /1/, got 1"]),
        (str.islower, "X", {}, ["expected a value that passes islower, got 'X'"]),
        (functools.partial(isinstance, "x"), int, {}, ["expected a value that passes isinstance, got <class 'int'>"]),
        ({"a": IsInt()}, {"a": "x"}, {}, ["a: expected IsInt(), got 'x'"]),
        (int, 3, {}, ["expected <class 'int'>, got 3"]),
        ({1: "x"}, {1: "y"}, {}, ["1: expected 'x', got 'y'"]),
    ],
)
def test_different(expected, actual, options, message):
    assert told(expected, actual, **options) == message


def test_partial_is_nested():
    expected = {"a": {"b": 1}, "c": [{"d": 1}]}

    assert told(expected, {"a": {"b": 1, "x": 2}, "c": [{"d": 1, "y": 3}], "z": 4}, partial=True) == []
    assert told(expected, {"a": {"b": 2, "x": 2}, "c": [{"d": 1}]}, partial=True) == ["a.b: expected 1, got 2"]


def test_a_matcher_is_shown_as_it_was_written():
    """A dirty-equals matcher that has matched shows the value instead: a diff of it would lie."""
    matcher = IsStr(regex="A.*")

    assert matcher == "AI"
    assert repr(matcher) == "'AI'"
    assert describe({"query": matcher}) == "{'query': IsStr(regex='A.*')}"
    assert told({"query": matcher, "n": 1}, {"query": "AI", "n": 2}) == ["n: expected 1, got 2"]
    assert describe(AnyThing()) in ("AnyThing()", "anything", "AnyThing")


def test_long_texts_are_cut_around_the_difference():
    expected, actual = both("a" * 500 + "X" + "b" * 500, "a" * 500 + "Y" + "b" * 500)

    assert expected == "…'" + "a" * 20 + "X" + "b" * 39 + "'…"
    assert actual == "…'" + "a" * 20 + "Y" + "b" * 39 + "'…"
    assert both("a" * 100, "a" * 101) == ("…'" + "a" * 20 + "'", "…'" + "a" * 21 + "'")


def test_s51_values_are_shown_escaped():
    assert "\x1b" not in describe("\x1b[31mred")
    assert told({"a\x1b": 1}, {}) == ["a\\x1b: expected 1, got nothing"]
    assert "\u202e" not in "".join(both("\u202e" * 70, "b"))


def test_only_some_differences_are_listed():
    found = differences(dict.fromkeys(range(20), 1), {})

    assert listed(found).splitlines()[-1] == "and 14 more"


def test_s59_values_nested_too_deep():
    deep, other = [], []
    for _ in range(100_000):
        deep, other = [deep], [other]
    other.append(1)

    assert len(differences({"a": deep}, {"a": other})) == 1


@given(plain_values)
def test_everything_equals_itself(value):
    assert differences(value, value) == []
    assert differences({"a": value}, {"a": value, "b": 1}, partial=True) == []
    assert describe(value).isprintable()
