"""Attributes that are replaced for the length of a test, and put back."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest

_ABSENT = object()


class Patches:
    """What was replaced, to put back: the last first, and not what somebody else has replaced meanwhile."""

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any, Any]] = []

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any], *, needed: bool = True) -> None:
        """Put ``make(original)`` in the place of an attribute; warn where there is none that is ``needed``."""
        original = inspect.getattr_static(owner, name, _ABSENT)
        if original is _ABSENT:
            if needed:
                gone = f"{getattr(owner, '__module__', '')}.{owner.__name__}".lstrip(".")
                warnings.warn(
                    pytest.PytestWarning(
                        f"this version has no {gone}.{name}, which pytest-crewai-trace replaces in tests that ask for "
                        "crewai_llm or crewai_faults; what it does may go past them"
                    ),
                    stacklevel=2,
                )
            return
        before = vars(owner).get(name, _ABSENT)
        ours = make(original)
        setattr(owner, name, ours)
        self._undo.append((owner, name, before, ours))

    def undo(self) -> None:
        """Put everything back."""
        while self._undo:
            owner, name, before, ours = self._undo.pop()
            if vars(owner).get(name, _ABSENT) is not ours:
                continue
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


def subclasses(cls: type) -> set[type]:
    """All classes that derive from a class, and exist now."""
    found: set[type] = set()
    todo: list[type] = [cls]
    while todo:
        below: list[type] = todo.pop().__subclasses__()
        new = [sub for sub in below if sub not in found]
        found.update(new)
        todo.extend(new)
    return found
