"""``crewai-trace show`` and ``list``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from pytest_crewai_trace.cli.places import NothingFoundError, console, look_up, traces
from pytest_crewai_trace.errors import did_you_mean, plural
from pytest_crewai_trace.report.terminal import costs, short_number, without_tree
from pytest_crewai_trace.trace.document import to_document
from pytest_crewai_trace.trace.render import label, printable, selection, walk, where_it_failed

if TYPE_CHECKING:
    from pytest_crewai_trace.store.attempt import Attempt
    from pytest_crewai_trace.store.reader import Stored
    from pytest_crewai_trace.trace.span import AnySpan
    from pytest_crewai_trace.trace.trace import Trace

_STYLES = {"passed": "green", "failed": "bold red", "error": "bold red", "crashed": "bold red", "interrupted": "yellow"}
_MOST_MESSAGE_LINES = 20
# Not shown with --full: what its line says, or nobody reads.
_LEFT_OUT = frozenset({"kind", "id", "parent_id", "name", "status", "start", "end", "origin", "error", "messages"})


def show(
    what: Sequence[str], folder: str | None, *, kind: str | None, agent: str | None, full: bool, as_json: bool
) -> int:
    """Print trees."""
    stored = look_up(what, folder)
    if not what:
        stored = [one for one in stored if one.attempt.bad] or stored
    out = console()
    filtered, roles, shown = bool(kind or agent), set[str](), 0
    for one, trace in traces(stored, bar=False):
        chosen = [span for span in trace.all_spans if _is_meant(span, kind, agent)]
        roles.update(span.name for span in trace.all_spans if span.kind == "agent")
        if filtered and not chosen:
            continue
        shown += 1
        if as_json:
            print(json.dumps(_as_json(one, trace, chosen if filtered else None)))
            continue
        if shown > 1:
            out.print()
        out.print(_heading(one.attempt))
        for line in _message(one.attempt):
            out.print(f"! {line}")
        for reason in trace.incomplete:
            out.print(f"incomplete: {printable(reason)}")
        marked = where_it_failed(trace.tree, one.attempt.about)
        lines = _full(trace, chosen, marked) if full else _lines(trace, chosen, marked, out.width)
        for line in lines:
            out.print(Text(line, style="red" if line.startswith("> ") else ""))
    if filtered and not shown:
        raise NothingFoundError(_none(kind, agent, roles, len(stored)))
    return 0


def _none(kind: str | None, agent: str | None, roles: set[str], tests: int) -> str:
    of_kind = f"{kind} span" if kind else "span"
    if agent is None:
        return f"no {of_kind} in {plural(tests, 'test')}"
    if agent in roles:
        return f"no {of_kind} of agent {agent!r} in {plural(tests, 'test')}"
    named = f"agents: {', '.join(map(repr, sorted(roles)))}" if roles else "no agent ran"
    return f"no agent {agent!r} in {plural(tests, 'test')};{did_you_mean(agent, roles)} {printable(named)}"


def listing(what: Sequence[str], folder: str | None, *, all_runs: bool, failed: bool, as_json: bool) -> int:
    """Print a line for each test."""
    stored = [one for one in look_up(what, folder, all_runs=all_runs) if one.attempt.bad or not failed]
    if as_json:
        for one in stored:
            print(json.dumps(_facts(one)))
        return 0
    table = Table("", "test", box=None, pad_edge=False)
    for name in ("calls", "tokens", "cost", "seconds"):
        table.add_column(name, justify="right")
    if all_runs:
        table.add_column("run")
    for one in stored:
        told = one.attempt
        usage = told.usage
        table.add_row(
            Text(told.outcome, style=_STYLES.get(told.outcome, "")),
            Text(_named(told)),
            str(usage.requests),
            short_number(usage.total_tokens) + ("" if usage.complete else "+"),
            " ".join(costs([told.costs])),
            f"{told.seconds:.1f}",
            *([Text(told.run)] if all_runs else []),
        )
    console().print(table)
    return 0


def _facts(one: Stored) -> dict[str, Any]:
    return {"path": str(one.path), **one.attempt.model_dump(mode="json")}


def _as_json(one: Stored, trace: Trace, chosen: list[AnySpan] | None) -> dict[str, Any]:
    facts = _facts(one)
    if chosen is None:
        return {**facts, "trace": to_document(trace)}
    return {**facts, "spans": [span.model_dump(mode="json") for span in chosen]}


def _is_meant(span: AnySpan, kind: str | None, agent: str | None) -> bool:
    of_agent = agent is None or span.agent_role == agent or (span.kind == "agent" and span.name == agent)
    return of_agent and (kind is None or span.kind == kind)


def _named(told: Attempt) -> str:
    parts = [f"attempt {told.attempt}"] if told.attempt > 1 else []
    parts += [told.worker] if told.worker else []
    return printable(told.test_id) + (f" ({', '.join(parts)})" if parts else "")


def _heading(told: Attempt) -> Text:
    usage = told.usage
    numbers = [plural(usage.requests, "LLM call"), f"{short_number(usage.total_tokens)} tokens"]
    numbers += [*costs([told.costs]), f"{told.seconds:.1f} s"]
    return Text.assemble(
        (told.outcome, _STYLES.get(told.outcome, "")), " ", (_named(told), "bold"), f"  [{', '.join(numbers)}]"
    )


def _message(told: Attempt) -> list[str]:
    lines = without_tree(told.message or "").splitlines()
    shown = [printable(line) for line in lines[:_MOST_MESSAGE_LINES]]
    return [*shown, f"... {len(lines) - len(shown)} more lines"] if len(lines) > len(shown) else shown


def _lines(trace: Trace, chosen: list[AnySpan], marked: list[int], width: int) -> Iterator[str]:
    if not chosen:
        yield "  (empty)"
    yield from selection(trace.tree, [span.id for span in chosen], marked, width=width)


def _full(trace: Trace, chosen: list[AnySpan], marked: list[int]) -> Iterator[str]:
    wanted = {span.id for span in chosen}
    for depth, span in walk(trace.tree, None):
        if span.id not in wanted:
            continue
        indent = "  " * min(depth, 30)
        yield f"{'> ' if span.id in marked else '  '}{indent}{label(span)}"
        for name, text in _details(span):
            lines = text.splitlines() or [""]
            if len(lines) == 1:
                yield f"    {indent}{name}: {printable(lines[0])}"
                continue
            yield f"    {indent}{name}:"
            # Behind a mark: a line of a model that begins with :: is no command to GitHub Actions.
            yield from (f"    {indent}| {printable(line)}" for line in lines)


def _details(span: AnySpan) -> Iterator[tuple[str, str]]:
    """The fields of a span that say something, each as text."""
    if span.duration is not None:
        yield "seconds", f"{span.duration:.3f}"
    for name, value in span.model_dump(mode="json", exclude_defaults=True, exclude=set(_LEFT_OUT)).items():
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    if span.kind == "llm":
        for message in span.messages:
            content = message.get("content")
            said = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
            calls = message.get("tool_calls")
            asked = f"\n{json.dumps(calls, ensure_ascii=False)}" if calls else ""
            yield printable(str(message.get("role", "message"))), f"{said}{asked}"
    if span.error is not None:
        yield "error", span.error.traceback or str(span.error)
