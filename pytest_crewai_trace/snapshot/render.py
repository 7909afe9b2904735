"""The text of one trace, or of one span and what is inside it, for a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_crewai_trace.errors import TraceIncompleteError
from pytest_crewai_trace.snapshot.facts import Custom, Fact, Reader
from pytest_crewai_trace.snapshot.normalise import Normaliser
from pytest_crewai_trace.snapshot.text import in_lines, in_name, in_one_line, indented
from pytest_crewai_trace.trace.order import arranged
from pytest_crewai_trace.trace.trace import Trace

if TYPE_CHECKING:
    from pytest_crewai_trace.snapshot.options import Options
    from pytest_crewai_trace.trace.redact import Redactor
    from pytest_crewai_trace.trace.span import LLMSpan, Span
    from pytest_crewai_trace.trace.tree import Tree


_NOTHING = Custom()


def tree_text(compared: Trace | Span, options: Options, redactor: Redactor, custom: Custom = _NOTHING) -> str:
    """The tree that a snapshot holds.

    Raises:
        TraceIncompleteError: nothing ran, not everything that ran was seen, or all of it is left out.
    """
    if isinstance(compared, Trace):
        root = None
        _ = compared.roots  # raises for a trace of which nothing may be concluded
    else:
        root = compared.id
    text = _Text(compared.tree, root, options, redactor, custom).write()
    if not text:
        raise TraceIncompleteError("ignore= leaves out every span of the trace: nothing is left to compare")
    return text


class _Text:
    def __init__(
        self,
        tree: Tree,
        root: int | None,
        options: Options,
        redactor: Redactor,
        custom: Custom,
    ) -> None:
        self.tree = tree
        self.root = root
        self.fold = options.fold
        self.reader = Reader(options, redactor, custom)
        self.normaliser = Normaliser(custom.patterns)
        self.needs_path = bool(options.ignore or options.replace) or custom.asks_for_paths
        self.left_out = self._left_out()
        self.calls_before = self._calls_before() if options.level == "full" else {}
        # What decided on the order of spans, until it is written.
        self.known: dict[int, tuple[str, list[Fact]]] = {}

    def _left_out(self) -> set[int]:
        """The spans that ``ignore`` means, and those inside them."""
        found: set[int] = set()
        if any(rule.attribute is None for rule in self.reader.options.ignore):
            for number in self._inside():
                parent = self.tree.spans[number].parent_id
                if (number != self.root and parent in found) or self.reader.leaves_out(self._path(number)):
                    found.add(number)
        return found

    def _calls_before(self) -> dict[int, LLMSpan]:
        """Of each LLM call the last one of the same agent."""
        found: dict[int, LLMSpan] = {}
        last: dict[int | None, LLMSpan] = {}
        for number in self._inside():
            span = self.tree.spans[number]
            if span.kind == "llm" and number not in self.left_out:
                if span.parent_id in last:
                    found[number] = last[span.parent_id]
                last[span.parent_id] = span
        return found

    def _of(self, number: int) -> tuple[str, list[Fact]]:
        """Name and facts of a span."""
        span = self.tree.spans[number]
        name = self.reader.name(span)
        above: list[tuple[str, str]] = self._path(number) if self.needs_path else [(span.kind, name)]
        before = self.calls_before.get(number)
        return name, self.reader.facts(span, above, None if before is None else before.messages.to_list())

    def _inside(self) -> list[int]:
        """The spans that are read, each after that which it is inside of."""
        if self.root is None:
            return [*range(len(self.tree.spans))]
        return [self.root, *(span.id for span in self.tree.inside(self.root))]

    def _path(self, number: int) -> list[tuple[str, str]]:
        """Kind and name of the span and of those above it, outermost first."""
        span = self.tree.spans[number]
        path: list[tuple[str, str]] = [(span.kind, self.reader.name(span))]
        while span.parent_id is not None and span.id != self.root:
            span = self.tree.spans[span.parent_id]
            path.append((span.kind, self.reader.name(span)))
        return path[::-1]

    def _neutral(self, number: int) -> str:
        """What decides on the order of spans that ran at the same time: what is shown of them, and no more."""
        if number in self.left_out:
            return ""
        if number not in self.known:
            self.known[number] = self._of(number)
        name, facts = self.known[number]
        parts = [f"{self.tree.spans[number].kind} {name}", *(f"{path} {value}" for path, value in facts)]
        return self.normaliser.neutral("\n".join(parts))

    def write(self) -> str:
        order = arranged(self.tree, self._neutral)
        lines: list[str] = []
        names: dict[str, str] = {}
        stack = [(0, number) for number in reversed(order.get(None, []) if self.root is None else [self.root])]
        while stack:
            depth, number = stack.pop()
            if number in self.left_out:
                continue
            name, facts = self.known.pop(number) if number in self.known else self._of(number)
            written = names.get(name)
            if written is None:
                written = names[name] = in_name(self.normaliser.text(name))
            lines.append(f"{indented(depth)}{self.tree.spans[number].kind} {written}")
            if facts:
                self._write(facts, depth, lines)
            inside = order.get(number)
            if inside:
                stack += [(depth + 1, child) for child in reversed(inside)]
        return "\n".join([*lines, ""]) if lines else ""

    def _write(self, facts: list[Fact], depth: int, lines: list[str]) -> None:
        at = indented(depth + 1)
        for path, raw in facts:
            value = raw
            if type(raw) is str:
                value = self.normaliser.text(raw)
            elif type(raw) in (list, tuple):
                value = [self.normaliser.text(item) if isinstance(item, str) else item for item in raw]
            line = in_one_line(value, self.fold)
            if line is not None:
                lines.append(f"{at}{path}: {line}")
            else:
                lines.append(f"{at}{path}:")
                below = indented(depth + 2)
                lines += [below + line for line in in_lines(value, self.fold)]
