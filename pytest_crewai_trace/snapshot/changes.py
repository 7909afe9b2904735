"""What changed between two trees, in sentences: what the agents did, and detail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_crewai_trace.errors import plural
from pytest_crewai_trace.snapshot.align import pairs as beside

if TYPE_CHECKING:
    from pytest_crewai_trace.snapshot.align import Pair
    from pytest_crewai_trace.snapshot.reading import Entry

# What an agent did; everything else that a fact says is detail.
_BEHAVIOUR = frozenset({"arguments", "attempt", "cached", "error", "outcome", "passed", "ready", "route", "status"})
_FULL_ONLY = frozenset(
    {"available_tools", "context", "description", "endpoint", "expected_output", "goal", "messages", "parameters"}
    | {"prompt", "tool_definitions", "url"}
)
_LONGEST = 80
_NOUNS = {"llm": "LLM call", "mcp": "MCP connection", "a2a": "A2A exchange", "human_feedback": "human feedback"}


@dataclass
class Changes:
    """Sentences; ``size`` is the number of spans and facts that differ."""

    errors: list[str] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    only_full: bool = True  # whether nothing changed but what level "full" alone shows
    size: int = 0

    @property
    def behaviour(self) -> list[str]:
        """What the agents did differently, failures first."""
        return _counted([*self.errors, *self.acts])

    @property
    def detail(self) -> list[str]:
        return _counted(self.details)


def changes(before: Sequence[Entry], now: Sequence[Entry]) -> Changes:
    """What changed from the stored tree to the new one, of one ``Reading``."""
    found = Changes()
    stack: list[tuple[Entry | None, list[Pair]]] = [(None, beside(before, now))]
    while stack:
        parent, pairs = stack.pop()
        _children(found, parent, pairs)
        deeper: list[tuple[Entry | None, list[Pair]]] = []
        for stored, made in pairs:
            if stored is not None and made is not None and stored is not made:
                _facts(found, stored, made, parent)
                deeper.append((made, beside(stored.children, made.children)))
        stack.extend(reversed(deeper))
    return found


def _children(found: Changes, parent: Entry | None, pairs: list[Pair]) -> None:
    """Who is new, gone, in another place or in somebody's stead."""
    gone = [stored for stored, made in pairs if stored is not None and made is None]
    new = [made for stored, made in pairs if made is not None and stored is None]
    found.size += len(gone) + len(new)
    found.only_full = found.only_full and not gone and not new
    _llm_calls(found, parent, pairs)
    moved = _moved(gone, new)
    before = {(stored.kind, stored.name) for stored, _ in pairs if stored is not None}
    now = {(made.kind, made.name) for _, made in pairs if made is not None}
    # Counted, as equal spans are one object.
    from_here, to_here = Counter(stored for stored, _ in moved), Counter(made for _, made in moved)
    for stored, made in pairs:
        if made is None and stored is not None:
            if stored.kind != "llm" and not _taken(from_here, stored):
                found.acts.append(_gone(stored, parent, is_left=(stored.kind, stored.name) in now))
        elif stored is None and made is not None:
            found.errors += [_failed(entry, parent) for entry in _failures(made)]
            if made.kind != "llm" and not _taken(to_here, made):
                found.acts.append(_new(made, parent, is_known=(made.kind, made.name) in before))
        elif stored is not None and made is not None and stored.name != made.name:
            found.size += 1
            found.only_full = False
            (found.details if made.kind == "llm" else found.acts).append(_renamed(stored, made, parent))
    found.acts += [f"{_what(made, parent)} ran in another order" for _, made in moved]


def _llm_calls(found: Changes, parent: Entry | None, pairs: list[Pair]) -> None:
    before = sum(stored is not None and stored.kind == "llm" for stored, _ in pairs)
    now = sum(made is not None and made.kind == "llm" for _, made in pairs)
    if before != now:
        calls = plural(now, "LLM call")
        who = "" if parent is None else f"{_who(parent)} made "
        found.acts.append(f"{who}{calls} instead of {before}" if who else f"{calls} instead of {before}")


def _taken(counts: Counter[Entry], entry: Entry) -> bool:
    """Whether there was one more of it."""
    counts[entry] -= 1
    return counts[entry] >= 0


def _moved(gone: list[Entry], new: list[Entry]) -> list[tuple[Entry, Entry]]:
    """Those that did the same, in another place among the same spans."""
    left: dict[object, list[Entry]] = {}
    for entry in gone:
        left.setdefault(entry.own, []).append(entry)
    moved = []
    for entry in new:
        others = left.get(entry.own)
        if others:
            moved.append((others.pop(0), entry))
    return [(stored, made) for stored, made in moved if made.kind != "llm"]


def _facts(found: Changes, stored: Entry, made: Entry, parent: Entry | None) -> None:
    paths = [path for path in {**stored.facts, **made.facts} if stored.facts.get(path) != made.facts.get(path)]
    found.size += len(paths)
    what = _what(made, parent)
    arguments = [path for path in paths if path.startswith("arguments.")]
    if arguments:
        told = ", ".join(_argument(path, stored.facts.get(path), made.facts.get(path)) for path in arguments)
        found.acts.append(f"{what} was called with {told}")
    for path in paths:
        name = path.split(".", 1)[0]
        found.only_full = found.only_full and name in _FULL_ONLY
        before, now = stored.facts.get(path), made.facts.get(path)
        if name == "error":
            failure = stored if now is None else made
            if not any("error" in inner.facts for inner in failure.children):  # else told of where it began
                found.errors.append(_error(what, before, now))
        elif name == "result" and "error" in (stored.facts if before is None else made.facts) and None in (before, now):
            continue  # one that fails has no result
        elif path not in arguments:
            sentence = _fact(what, path, before, now)
            (found.acts if name in _BEHAVIOUR else found.details).append(sentence)


def _error(what: str, before: str | None, now: str | None) -> str:
    if now is None:
        return f"{what} no longer fails ({_short(before)})"
    if before is None:
        return f"{what} failed: {_short(now)}"
    old, new = _contrast(before, now)
    return f"{what} failed with {new} instead of {old}"


def _fact(what: str, path: str, before: str | None, now: str | None) -> str:
    old, new = _contrast(before, now)
    match path:
        case "route":
            return f"{what} chose {new} instead of {old}"
        case "result":
            return f"{what} returned {new} instead of {old}"
        case "response":
            return f"{what} was answered with {new} instead of {old}"
        case "passed" if now is not None:
            return f"{what} {'passed' if now == 'true' else 'did not pass'}"
        case "status" if now is not None:
            return f"{what} is {_short(now)}"
        case _ if before is None:
            return f"{what} has {path}={new}"
        case _ if now is None:
            return f"{what} has no {path} (it was {old})"
        case _:
            return f"{what} has {path}={new} instead of {old}"


def _argument(path: str, before: str | None, now: str | None) -> str:
    name = path.partition(".")[2]
    old, new = _contrast(before, now)
    if now is None:
        return f"no {name} (it was {old})"
    return f"{name}={new} (it was not given)" if before is None else f"{name}={new} instead of {old}"


def _failures(entry: Entry) -> Iterator[Entry]:
    """Where trouble began in a new subtree."""
    stack = [entry]
    while stack:
        current = stack.pop()
        if "error" in current.facts and not any("error" in inner.facts for inner in current.children):
            yield current
        stack.extend(reversed(current.children))


def _failed(entry: Entry, parent: Entry | None) -> str:
    return _error(_what(entry, parent), None, entry.facts["error"])


def _new(entry: Entry, parent: Entry | None, *, is_known: bool) -> str:
    if entry.kind == "tool" and parent is not None:
        return f"{_who(parent)} also called {_what(entry, parent)}{_with(entry)}"
    chose = f" and chose {_short(entry.facts['route'])}" if "route" in entry.facts else ""
    return f"{_what(entry, parent)} {'ran once more' if is_known else 'is new'}{chose}"


def _gone(entry: Entry, parent: Entry | None, *, is_left: bool) -> str:
    if entry.kind == "tool" and parent is not None:
        return f"{_who(parent)} did not call {_what(entry, parent)}{_with(entry)}"
    return f"{_what(entry, parent)} {'ran once less' if is_left else 'is gone'}"


def _with(tool: Entry) -> str:
    given = [f"{path[10:]}={_short(value)}" for path, value in tool.facts.items() if path.startswith("arguments.")]
    return f" with {', '.join(given[:3])}{', ...' if len(given) > 3 else ''}" if given else ""


def _renamed(stored: Entry, made: Entry, parent: Entry | None) -> str:
    match made.kind:
        case "agent" if parent is not None:
            return f"{_who(parent)} was done by '{made.name}' instead of '{stored.name}'"
        case "tool" if parent is not None:
            return f"{_who(parent)} called tool '{made.name}' instead of '{stored.name}'"
        case "llm":
            return f"{_what(made, parent)} went to '{made.name}' instead of '{stored.name}'"
        case _:
            return f"{made.kind} '{made.name}' ran instead of '{stored.name}'"


def _who(parent: Entry) -> str:
    return parent.name if parent.kind == "agent" else f"{_NOUNS.get(parent.kind, parent.kind)} '{parent.name}'"


def _what(entry: Entry, parent: Entry | None) -> str:
    if entry.kind == "llm":
        return "an LLM call" + ("" if parent is None else f" of {_who(parent)}")
    return f"{_NOUNS.get(entry.kind, entry.kind)} '{entry.name}'"


def _flat(value: str | None) -> str:
    """A value on one line."""
    if value is None:
        return "nothing"
    first, *more = value.split("\n")
    return first or " / ".join(line[2:] if line.startswith("| ") else line.lstrip("|") for line in more)


def _short(value: str | None) -> str:
    flat = _flat(value)
    return flat if len(flat) <= _LONGEST else f"{flat[: _LONGEST - 1]}…"


def _contrast(before: str | None, now: str | None) -> tuple[str, str]:
    """Both values, shortened around the place where they begin to differ."""
    old, new = _flat(before), _flat(now)
    if len(old) <= _LONGEST and len(new) <= _LONGEST:
        return old, new
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    start = max(0, same - 20) if same > 40 else 0
    return _window(old, start), _window(new, start)


def _window(text: str, start: int) -> str:
    end = start + _LONGEST - 2
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _counted(sentences: Iterable[str]) -> list[str]:
    return [f"{text} ({count} times)" if count > 1 else text for text, count in Counter(sentences).items()]
