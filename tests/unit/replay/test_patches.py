"""Attributes that are replaced and put back."""

from __future__ import annotations

import pytest

from pytest_crewai_trace.replay.patches import Patches, subclasses


class Parent:
    def one(self):
        return "one"


class Child(Parent):
    pass


def twice(original):
    return lambda self: original(self) * 2


def test_what_is_replaced_is_put_back():
    patches = Patches()
    patches.replace(Parent, "one", twice)
    patches.replace(Child, "one", twice)
    assert (Parent().one(), Child().one()) == ("oneone", "oneoneoneone")

    patches.undo()
    assert (Parent().one(), Child().one()) == ("one", "one")
    assert "one" not in vars(Child)


def test_what_somebody_else_replaced_meanwhile_stays(monkeypatch):
    patches = Patches()
    patches.replace(Parent, "one", twice)
    monkeypatch.setattr(Parent, "one", lambda self: "theirs")

    patches.undo()
    assert Parent().one() == "theirs"


def test_a_name_that_is_gone_is_named():
    with pytest.warns(
        pytest.PytestWarning, match=r"no .*test_patches\.Parent\.two, which pytest-crewai-trace replaces"
    ):
        Patches().replace(Parent, "two", twice)
    Patches().replace(Parent, "two", twice, needed=False)


def test_subclasses():
    assert subclasses(Parent) == {Child}
