"""The text tree. Model output is hostile text: everything that is not printable is shown escaped."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.trace.order import canonical_children
from pytest_crewai_trace.trace.semconv import FAULT_INJECTED

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_crewai_trace.trace.span import AnySpan
    from pytest_crewai_trace.trace.tree import Tree
    from pytest_crewai_trace.trace.values import ToolCall

# Deeper than this the depth is written as a number, so that a chain of 100,000 spans stays linear to render.
_MOST_INDENT = 30
_LEAST_LABEL = 40

_short = reprlib.Repr()
_short.maxlevel = 4
_short.maxdict = _short.maxlist = _short.maxtuple = 8
_short.maxstring = _short.maxother = _short.maxlong = 70


def short(value: Any) -> str:
    """A value on one line, printable, cut in the middle where it is long."""
    return printable(_short.repr(value))


def printable(text: str) -> str:
    """Text with everything escaped that a terminal would act on or not show."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def one_line(text: str, width: int) -> str:
    """Text on one line, cut."""
    return cut(" ".join(text.split()), width)


def _call(name: str, arguments: dict[str, Any]) -> str:
    return f"{printable(name)}({', '.join(f'{printable(key)}={short(value)}' for key, value in arguments.items())})"


def _requested(calls: tuple[ToolCall, ...]) -> str:
    return ", ".join(_call(call.name, call.arguments) for call in calls)


def label(span: AnySpan) -> str:
    """What one span did, on one line, without its time."""
    injected = " (injected)" if any(event.name == FAULT_INJECTED for event in span.events) else ""
    return printable(_head(span) + _outcome(span) + injected)


def _head(span: AnySpan) -> str:
    name = printable(one_line(span.name, 60))
    match span.kind:
        case "tool":
            return f"tool {_call(span.name, span.arguments)}"
        case "memory":
            return f"memory {span.operation}" + (
                f" {short(span.query or span.value)}" if span.query or span.value else ""
            )
        case "knowledge":
            return f"knowledge {span.operation}" + (f" {short(span.query)}" if span.query else "")
        case "guardrail":
            return f"guardrail {name}" + (f" (attempt {span.attempt})" if span.attempt > 1 else "")
        case "planning":
            return f"planning {span.operation} {span.number}" + (
                f" {short(span.description)}" if span.description else ""
            )
        case "a2a" | "human_feedback" | "skill":
            return f"{span.kind} {span.operation} {name}"
        case "crew" if span.operation != "kickoff":
            return f"crew {span.operation} {name}"
        case _:
            return f"{span.kind} {name}"


def _outcome(span: AnySpan) -> str:
    if span.error is not None or span.status == "error":
        return f" !! {printable(one_line(str(span.error or ''), 160))}".rstrip()
    if getattr(span, "paused", False):
        return " (paused)"
    if span.open:
        return " (open)"
    match span.kind:
        case "llm":
            return " -> " + (_requested(span.requested_tool_calls) or short(span.response))
        case "tool":
            return f" -> {short(span.result)}" + (" (cached)" if span.cached else "")
        case "method":
            return "" if span.result is None else f" -> {short(span.result)}"
        case "guardrail" if span.success is False:
            return f" -> rejected: {short(span.feedback)}"
        case "guardrail":
            return " -> passed" if span.success else ""
        case "human_feedback":
            said = short(span.feedback)
            return f" -> {said}" + ("" if span.outcome is None else f" ({printable(span.outcome)})")
        case "evaluation":
            return "" if span.score is None else f" -> {short(span.score)}"
        case _:
            return ""


def walk(tree: Tree, root: int | None) -> Iterator[tuple[int, AnySpan]]:
    """(depth, span) in canonical order: a span before what is inside it, concurrent ones by name and content."""
    order = canonical_children(tree)
    stack = [(0, number) for number in reversed(order.get(None, []) if root is None else [root])]
    while stack:
        depth, number = stack.pop()
        yield depth, tree.spans[number]
        stack.extend((depth + 1, child) for child in reversed(order.get(number, ())))


def _line(depth: int, text: str, width: int, mark: str = "") -> str:
    indent = "  " * depth if depth <= _MOST_INDENT else "  " * _MOST_INDENT + f"({depth}) "
    return mark + indent + cut(text, max(_LEAST_LABEL, width - len(indent) - len(mark)))


def render(tree: Tree, root: int | None = None, *, width: int = 120) -> str:
    """The whole tree; the same behaviour gives the same text."""
    return "\n".join(_line(depth, label(span), width) for depth, span in walk(tree, root))


def failing(tree: Tree) -> list[int]:
    """The spans where trouble began: those that failed and hold no other span that failed."""
    failed = {span.id for span in tree.spans if span.status == "error"}
    return [i for i in sorted(failed) if not any(child in failed for child in tree.children.get(i, ()))]


def where_it_failed(tree: Tree, about: Iterable[int] = ()) -> list[int]:
    """The spans that a failed expectation is ``about``; where it does not say, those where trouble began."""
    return [number for number in about if number < len(tree.spans)] or failing(tree)


def excerpt(
    tree: Tree,
    marked: Collection[int],
    *,
    most: int = 40,
    width: int = 120,
    numbers: bool = True,
    label: Callable[[AnySpan], str] = label,
) -> str:
    """The tree in at most about ``most`` lines, with ``>`` at the marked spans and their ``numbers``: time and tokens.

    What is left out is counted where it was; marked spans and what they are inside of come first.
    """
    rows = list(walk(tree, None))
    kept = set(range(len(rows))) if len(rows) <= most else _worth_keeping(tree, rows, marked, most)
    lines, skipped = [], 0
    for place, (depth, span) in enumerate(rows):
        if place not in kept:
            skipped += 1
            continue
        if skipped:
            lines.append(f"  ... {skipped} more")
            skipped = 0
        shown = label(span) + (_numbers(span) if numbers else "")
        lines.append(_line(depth, shown, width, "> " if span.id in marked else "  "))
    if skipped:
        lines.append(f"  ... {skipped} more")
    return "\n".join(lines)


def selection(tree: Tree, chosen: Collection[int], marked: Collection[int], *, width: int = 120) -> Iterator[str]:
    """The lines of the chosen spans and of what they are inside of, as in ``excerpt``; nothing else is counted."""
    shown = set(chosen)
    for number in chosen:
        above = tree.spans[number].parent_id
        while above is not None and above not in shown:
            shown.add(above)
            above = tree.spans[above].parent_id
    for depth, span in walk(tree, None):
        if span.id in shown:
            yield _line(depth, label(span) + _numbers(span), width, "> " if span.id in marked else "  ")


def _worth_keeping(tree: Tree, rows: list[tuple[int, AnySpan]], marked: Collection[int], most: int) -> set[int]:
    place_of = {span.id: place for place, (_, span) in enumerate(rows)}
    # The last that failed are the nearest to why the test ended; their ancestors say where that was.
    nearest = sorted(marked, reverse=True)[: max(1, most // 4)]
    kept = [place_of[number] for number in nearest]
    for number in nearest:
        above = tree.spans[number].parent_id
        while above is not None and len(kept) < most:
            kept.append(place_of[above])
            above = tree.spans[above].parent_id
    kept += [place for place, (depth, _) in enumerate(rows) if depth <= 1][: most // 4]
    around = [place_of[number] + offset for number in marked for offset in (-2, -1, 1, 2)]
    kept += [place for place in around if 0 <= place < len(rows)]
    kept += range(len(rows))
    return set(list(dict.fromkeys(kept))[:most])


def _numbers(span: AnySpan) -> str:
    parts = [] if span.duration is None else [f"{span.duration:.2f} s"]
    if span.kind == "llm" and span.call_usage.total_tokens:
        parts.append(f"{span.call_usage.total_tokens} tokens")
    return f"  [{', '.join(parts)}]" if parts else ""
