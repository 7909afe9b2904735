"""What one comparison is asked to show: its level, what it leaves out and what it replaces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any, Literal, get_args

from pytest_crewai_trace.errors import unknown_choice
from pytest_crewai_trace.trace.semconv import KINDS

Level = Literal["path", "calls", "content", "full"]
LEVELS: tuple[Level, ...] = get_args(Level)
Replacement = str | Callable[[Any], Any]
MOST_VARIANTS = 20
FOLD = 1_000

# The facts of a snapshot: the names with which a path may go on after its span.
ATTRIBUTES = frozenset(
    {
        *("arguments", "asks", "attempt", "available_tools", "cached", "context", "description", "endpoint", "error"),
        *("expected_output", "feedback", "found", "goal", "inputs", "mcp_server", "message", "messages", "metric"),
        *("outcome", "output", "output_data", "parameters", "params", "passed", "plan", "prompt", "query", "ready"),
        *("request", "response", "result", "results", "route", "score", "state", "status", "tool_definitions"),
        *("transport", "url", "value"),
    }
)


@dataclass(frozen=True)
class Rule:
    """A path such as ``task write > tool search > arguments.query``; without an attribute it means whole spans."""

    path: str
    spans: tuple[tuple[str, re.Pattern[str]], ...]
    attribute: re.Pattern[str] | None

    @classmethod
    def of(cls, path: object) -> Rule:
        """The rule that a path stands for.

        Raises:
            TypeError: not a text.
            ValueError: a part that is neither a span nor an attribute.
        """
        if not isinstance(path, str):
            raise TypeError(f"a path is a text such as 'tool search > result', not {path!r}")
        *above, last = (part.strip() for part in path.split(" > "))
        spans = tuple(_span(part, path) for part in above)
        kind = last.split(" ", 1)[0]
        if kind in KINDS or last.startswith("* "):
            return cls(path, (*spans, _span(last, path)), None)
        first = last.split(".", 1)[0]
        if first not in ATTRIBUTES and not set(first) & set("*?["):
            choice = unknown_choice("span or attribute", first.split(" ", 1)[0], (*KINDS, *sorted(ATTRIBUTES)))
            raise ValueError(f"path {path!r}: {choice}")
        return cls(path, spans, re.compile(translate(last)))

    def meets(self, above: Sequence[tuple[str, str]]) -> bool:
        """Whether the last of these spans (kind and name, outermost first) is one that the path leads to."""
        if not self.spans:
            return True
        wanted = list(self.spans)
        for place, (kind, name) in enumerate(reversed(above)):
            wanted_kind, pattern = wanted[-1]
            if wanted_kind in ("*", kind) and pattern.match(name):
                wanted.pop()
                if not wanted:
                    return True
            elif place == 0:
                return False
        return False


def _span(part: str, path: str) -> tuple[str, re.Pattern[str]]:
    kind, _, name = part.partition(" ")
    if kind not in KINDS and kind != "*":
        raise ValueError(f"path {path!r}: {unknown_choice('kind of span', kind, (*KINDS, '*'))}")
    return kind, re.compile(translate(name.strip() or "*"))


@dataclass(frozen=True)
class Options:
    """The options of one comparison, checked.

    Raises:
        TypeError, ValueError: a value that makes no sense; the message names it and the valid ones.
    """

    level: Level = "calls"
    variants: int = 1
    fold: int | None = FOLD
    ignore: tuple[Rule, ...] = ()
    replace: tuple[tuple[Rule, Replacement], ...] = ()

    @classmethod
    def of(
        cls,
        *,
        level: object = "calls",
        variants: object = 1,
        fold: object = FOLD,
        ignore: Iterable[str] = (),
        replace: Mapping[str, Replacement] | None = None,
    ) -> Options:
        if level not in LEVELS:
            raise ValueError(unknown_choice("level", level, LEVELS))
        if type(variants) is not int or not 1 <= variants <= MOST_VARIANTS:
            raise ValueError(f"variants={variants!r}; valid: 1 to {MOST_VARIANTS}")
        if fold is not None and (type(fold) is not int or fold < 100):
            raise ValueError(f"fold={fold!r}; valid: None (never) or a number of characters from 100")
        if isinstance(ignore, str) or not isinstance(ignore, Iterable):
            raise TypeError(f"ignore={ignore!r}; valid: a list of paths, such as ['tool search > result']")
        if replace is not None and not isinstance(replace, Mapping):
            raise TypeError(f"replace={replace!r}; valid: a dict from path to a text or a function")
        replacements = []
        for path, replacement in (replace or {}).items():
            if not isinstance(replacement, str) and not callable(replacement):
                raise TypeError(f"replace[{path!r}]={replacement!r}; valid: a text or a function of the value")
            rule = Rule.of(path)
            if rule.attribute is None:
                raise ValueError(
                    f"replace: the path {path!r} ends with a span; add an attribute, as in '{path} > result'"
                )
            replacements.append((rule, replacement))
        return cls(
            level=level,
            variants=variants,
            fold=fold,
            ignore=tuple(Rule.of(path) for path in ignore),
            replace=tuple(replacements),
        )
