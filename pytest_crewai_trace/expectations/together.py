"""Several expectations at once: their failures are collected and told together."""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING

from pytest_crewai_trace.errors import TraceAssertionError
from pytest_crewai_trace.expectations.message import Mismatch, hide, tree_of, without_secrets

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.tree import Tree

__tracebackhide__ = hide

Failures = list[tuple[Mismatch, "Tree"]]
_collecting: ContextVar[Failures | None] = ContextVar("crewai_trace_expectations", default=None)


def report(mismatch: Mismatch, tree: Tree) -> None:
    """Fail with a mismatch; inside ``Collected``, later.

    Raises:
        TraceAssertionError: the mismatch.
    """
    mismatch = without_secrets(mismatch)
    collecting = _collecting.get()
    if collecting is None:
        raise TraceAssertionError([mismatch], tree_of(tree, [mismatch]))
    collecting.append((mismatch, tree))


class Collected(AbstractContextManager[None]):
    """Collects failures until the end of the block, then fails with all of them.

    What else is raised in the block goes on, with the failures before it as a note; a plain ``assert`` is told with
    them. A class and no generator: of those the traceback ends in ``contextlib``, not in the user's line.
    """

    def __enter__(self) -> None:
        self._outer = _collecting.get()
        self._failures: Failures = []
        _collecting.set(self._failures)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        _collecting.set(self._outer)
        if not self._failures:
            return
        if error is not None:
            _note(error, str(_as_one(self._failures)))
        elif self._outer is None:
            raise _as_one(self._failures)
        else:
            self._outer += self._failures


def _as_one(failures: Failures) -> TraceAssertionError:
    by_tree: dict[int, Failures] = {}
    for mismatch, tree in failures:
        by_tree.setdefault(id(tree), []).append((mismatch, tree))
    trees = [tree_of(group[0][1], [mismatch for mismatch, _ in group]) for group in by_tree.values()]
    return TraceAssertionError([mismatch for mismatch, _ in failures], "\n\n".join(trees))


def _note(error: BaseException, text: str) -> None:
    """``add_note``, for Python 3.10 too."""
    notes = getattr(error, "__notes__", None)
    error.__notes__ = [*(notes or ()), f"before that, {text}"]  # type: ignore[attr-defined]  # known from 3.11
