"""Every ``*StartedEvent`` that the installed crewAI knows is mapped, or named as one that is left out.

The sources are read, not imported: classes that need an optional extra count as well.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_crewai_trace.capture.mapping import RULES


@dataclass(frozen=True)
class EventClass:
    name: str
    bases: tuple[str, ...]
    type: str | None
    place: str


def packages() -> list[Path]:
    """The installed ``crewai`` and what lies beside it under a name of its own: ``crewai_tools``, ``crewai_core``."""
    spec = importlib.util.find_spec("crewai")
    assert spec is not None
    assert spec.origin is not None
    site = Path(spec.origin).parent.parent
    return [folder for folder in site.glob("crewai*") if folder.is_dir() and not folder.name.endswith("-info")]


def string_in(node: ast.expr | None) -> str | None:
    """``"x"``, ``Literal["x"]``, or the first argument of ``Field("x")``."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Subscript(slice=inner):
            return string_in(inner)
        case ast.Call(args=[first, *_]):
            return string_in(first)
        case ast.Call(keywords=keywords):
            return next((string_in(keyword.value) for keyword in keywords if keyword.arg == "default"), None)
    return None


def own_type(definition: ast.ClassDef) -> str | None:
    for statement in definition.body:
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == "type":
            return string_in(statement.value) or string_in(statement.annotation)
        if isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == ["type"]:
            return string_in(statement.value)
    return None


def classes(folders: Iterable[Path]) -> Iterator[EventClass]:
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            text = file.read_text(encoding="utf-8", errors="replace")
            if "Event" not in text:
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef) and "Event" in node.name:
                    bases = tuple(ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases)
                    place = f"{file.relative_to(folder.parent)}:{node.lineno}"
                    yield EventClass(node.name, bases, own_type(node), place)


def started_events(folders: Iterable[Path]) -> dict[str, EventClass]:
    """Type to class of every ``*StartedEvent`` under ``BaseEvent``; a class without a type stands under its name."""
    known = {found.name: found for found in classes(folders)}

    def is_event(name: str, above: frozenset[str] = frozenset()) -> bool:
        if name == "BaseEvent":
            return True
        found = known.get(name)
        return found is not None and name not in above and any(is_event(base, above | {name}) for base in found.bases)

    def type_of(name: str, above: frozenset[str] = frozenset()) -> str | None:
        found = known.get(name)
        if found is None or name in above:
            return None
        inherited = (type_of(base, above | {name}) for base in found.bases)
        return found.type or next((text for text in inherited if text), None)

    starts = [name for name in known if name.endswith("StartedEvent") and is_event(name)]
    return {type_of(name) or name: known[name] for name in starts}


def unmapped(folders: Iterable[Path]) -> dict[str, str]:
    found = started_events(folders)
    return {name: f"{event.name} in {event.place}" for name, event in found.items() if name not in RULES}


def test_every_started_event_of_the_installed_crewai_is_mapped_or_named_as_left_out() -> None:
    assert unmapped(packages()) == {}


def test_the_scan_sees_the_events_of_every_supported_version() -> None:
    found = started_events(packages())

    assert {"crew_kickoff_started", "flow_started", "tool_usage_started", "a2a_delegation_started"} <= set(found)
    assert found["knowledge_search_query_started"].name == "KnowledgeRetrievalStartedEvent"
    assert len(found) >= 29


@pytest.mark.parametrize(
    "body",
    [
        'class NovelStartedEvent(BaseEvent):\n    type: str = "novel_started"',
        'class NovelStartedEvent(BaseEvent):\n    type: Literal["novel_started"]',
        'class NovelStartedEvent(events.BaseEvent):\n    type: str = Field(default="novel_started")',
        'class FlowEvent(BaseEvent):\n    type = "novel_started"\nclass NovelStartedEvent(FlowEvent[T]): ...',
    ],
)
def test_a_new_started_event_is_found(tmp_path: Path, body: str) -> None:
    (tmp_path / "novel.py").write_text(body, encoding="utf-8")

    assert list(unmapped([tmp_path])) == ["novel_started"]


def test_a_started_event_whose_type_cannot_be_read_is_found(tmp_path: Path) -> None:
    (tmp_path / "novel.py").write_text("class NovelStartedEvent(BaseEvent): ...", encoding="utf-8")

    assert list(unmapped([tmp_path])) == ["NovelStartedEvent"]


def test_the_pairs_of_the_table_are_those_of_the_bus() -> None:
    """What crewAI's bus takes as a scope, we take as a span, with the same ends."""
    from crewai.events.event_context import SCOPE_ENDING_EVENTS, SCOPE_STARTING_EVENTS, VALID_EVENT_PAIRS

    begins = {name for name, rule in RULES.items() if rule.role == "begin"}
    partners = {name: rule.partner for name, rule in RULES.items() if rule.role == "end"}

    assert begins >= SCOPE_STARTING_EVENTS
    assert set(partners) >= SCOPE_ENDING_EVENTS
    assert {name: partners[name] for name in VALID_EVENT_PAIRS} == VALID_EVENT_PAIRS


def test_every_end_of_the_table_ends_a_start_of_its_kind() -> None:
    for name, rule in RULES.items():
        if rule.role == "end":
            assert rule.partner is not None
            start = RULES[rule.partner]
            assert (start.role, start.kind) == ("begin", rule.kind), name
