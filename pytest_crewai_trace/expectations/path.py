"""In which order things happened: agents, tasks and tools, or the methods and labels of a flow."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from types import EllipsisType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pytest_crewai_trace.expectations import given
from pytest_crewai_trace.expectations.message import Mismatch, hide
from pytest_crewai_trace.expectations.scope import Scope, listed, near, shown_name
from pytest_crewai_trace.expectations.shown import short
from pytest_crewai_trace.trace.query import alike, column

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.semconv import Kind

__tracebackhide__ = hide

Path: TypeAlias = str | EllipsisType
_MOST_SHOWN = 8
_FOLLOWED: tuple[Kind, ...] = ("agent", "task", "tool")
_ROUTED: tuple[Kind, ...] = ("method",)


class _Stop(NamedTuple):
    """One place on the way that was taken."""

    kind: str
    name: str
    span: int


def check_follow(scope: Scope, *path: Path) -> Mismatch | None:
    """Whether agents, tasks and tools came in this order; ``...`` is anything in between.

    Only what is of the same kinds as the names counts: where no task is named, tasks do not stand in between.
    """
    segments = _segments("to_follow", path)
    known = {kind: set(column(scope.spans(kind), "name")) for kind in _FOLLOWED}
    meant = {name: _meant(name, known) for segment in segments for name in segment}
    used = [kind for kind in _FOLLOWED if not known[kind].isdisjoint(meant.values())]
    spans = _merged(scope, used)
    if _holds(segments, meant, [span.name for span in spans]):
        return None
    stops = [_Stop(span.kind, span.name, span.id) for span in spans or _merged(scope, _FOLLOWED)]
    expected = f"{_shown(path)} to come{' in this order' if len(path) > 1 else ''}{scope.where}"
    return _mismatch(scope, expected, segments, meant, stops, _FOLLOWED)


def check_route(scope: Scope, *path: Path) -> Mismatch | None:
    """Whether a flow's methods ran, and its routers chose labels, in this order; ``...`` is anything in between."""
    segments = _segments("to_route", path)
    stops = []
    for span in scope.spans("method"):
        stops.append(_Stop("method", span.name, span.id))
        if span.router and span.result is not None:
            stops.append(_Stop("label", str(span.result), span.id))
    names = {name: name for segment in segments for name in segment}
    kinds = {stop.kind for stop in stops if stop.name in names}
    way = [stop for stop in stops if stop.kind in kinds]
    if _holds(segments, names, [stop.name for stop in way]):
        return None
    known = {stop.name for stop in stops}
    complete = known.issuperset(names)
    expected = f"the flow to go {_shown(path)}{scope.where}"
    return _mismatch(scope, expected, segments, names, way if complete else stops, _ROUTED)


def _merged(scope: Scope, kinds: Sequence[Kind]) -> list[Any]:
    """Spans of several kinds in start order, which is that of their numbers."""
    found = [span for kind in kinds for span in scope.spans(kind)]
    found.sort(key=attrgetter("id"))
    return found


def _segments(what: str, path: Sequence[object]) -> list[list[str]]:
    """The names between the ``...``, checked."""
    segments: list[list[str]] = [[]]
    for entry in path:
        if entry is ...:
            segments.append([])
        elif entry in ("...", "…"):
            raise TypeError(f"{what} takes ... without quotes for anything in between: write {what}('A', ..., 'B')")
        elif isinstance(entry, str):
            segments[-1].append(given.a_name(what, entry))
        else:
            raise TypeError(f"{what} takes names and ..., not {short(entry)}: write {what}('A', ..., 'B')")
    found = [segment for segment in segments if segment]
    if not found:
        raise ValueError(f"{what} takes at least one name: write {what}('A', ..., 'B')")
    return found


def _shown(path: Sequence[object]) -> str:
    return " > ".join("..." if entry is ... else shown_name(str(entry)) for entry in path)


def _holds(segments: list[list[str]], meant: dict[str, str], names: list[str]) -> bool:
    """Whether the segments stand in the names, one after the other. The earliest place for each is as good as any."""
    place = 0
    for segment in segments:
        start = _find([meant[name] for name in segment], names, place)
        if start is None:
            return False
        place = start + len(segment)
    return True


def _find(wanted: list[str], names: list[str], place: int) -> int | None:
    try:
        while True:
            place = names.index(wanted[0], place)
            if names[place : place + len(wanted)] == wanted:
                return place
            place += 1
    except ValueError:
        return None


def _mismatch(
    scope: Scope,
    expected: str,
    segments: list[list[str]],
    meant: dict[str, str],
    way: list[_Stop],
    kinds: tuple[Kind, ...],
) -> Mismatch | None:
    known = dict.fromkeys(stop.name for stop in way)
    missing = [name for name, other in meant.items() if other not in known]
    if missing:
        return Mismatch(
            expected,
            f"{missing[0]!r} never came{near(missing[0], known)}{_labels(way)}",
            nearest=f"what came: {_way(way)}",
            advice=_advice(scope, missing[0], kinds),
            spans=_marks(scope, [stop for stop in way if stop.name in meant.values() or stop.kind == "label"]),
        )
    place, found, names = 0, list[_Stop](), [stop.name for stop in way]
    for segment in segments:
        wanted = [meant[name] for name in segment]
        start = _find(wanted, names, place)
        if start is None:
            return _broken(scope, expected, wanted, way, place, found)
        found += way[start : start + len(wanted)]
        place = start + len(wanted)
    return None


def _labels(stops: list[_Stop]) -> str:
    chosen = [stop.name for stop in stops if stop.kind == "label"]
    return f"; routers chose {listed(chosen)}" if chosen else ""


def _meant(name: str, known: Mapping[Kind, Collection[str]]) -> str:
    """The name in the trace: a tool may be called as it was given, not as models see it."""
    if any(name in names for names in known.values()):
        return name
    return next((tool for tool in known["tool"] if alike(tool, name)), name)


def _broken(
    scope: Scope, expected: str, wanted: list[str], way: list[_Stop], place: int, found: list[_Stop]
) -> Mismatch:
    """The names are all there, but not in this order: how far it went well."""
    best, length = place, 0
    for start in range(place, len(way)):
        same = 0
        while same < len(wanted) and start + same < len(way) and way[start + same].name == wanted[same]:
            same += 1
        if same > length:
            best, length = start, same
    after = found[-1].name if found else None
    if length:  # a part of what should come without a gap did
        reached, missed = wanted[length - 1], wanted[length]
        next_one = way[best + length] if best + length < len(way) else None
        actual = f"after {reached!r} came {'nothing' if next_one is None else repr(next_one.name)}, not {missed!r}"
        marked = [*found, *way[best : best + length], *([next_one] if next_one else [])]
        advice = (
            f"Where others may come in between, write {reached!r}, ..., {missed!r}."
            if next_one is not None
            else "It is the last that came: see why the run went no further."
        )
    else:
        missed = wanted[0]
        actual = f"{missed!r} did not come after {after!r}" if after else f"{missed!r} did not come"
        marked = [*found, *(stop for stop in way if stop.name == missed)]
        advice = "What came too early, or not again, is marked."
    return Mismatch(expected, actual, nearest=f"what came: {_way(way)}", advice=advice, spans=_marks(scope, marked))


def _way(way: list[_Stop]) -> str:
    shown = " > ".join(shown_name(stop.name) for stop in way[:_MOST_SHOWN])
    more = len(way) - _MOST_SHOWN
    return (shown + (f" and {more} more" if more > 0 else "")) or "nothing"


def _marks(scope: Scope, stops: Sequence[_Stop]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(stop.span for stop in stops[:40])) or scope.marks


def _advice(scope: Scope, name: str, kinds: tuple[Kind, ...]) -> str:
    at_hand = [tool for tool in scope.tools_at_hand() if tool == name or alike(tool, name)]
    if at_hand and "tool" in kinds:
        owners = [agent.name for agent in scope.everywhere("agent") if at_hand[0] in agent.available_tools]
        return f"{listed(owners)} had the tool and did not call it: see what the model answered instead."
    found = [kind for kind in (*_FOLLOWED, *_ROUTED) if name in column(scope.everywhere(kind), "name")]
    if any(kind in kinds for kind in found):
        return "It is in the trace, but not in this part of it."
    if found:
        other = (
            "to_route takes the methods of a flow" if kinds == _FOLLOWED else "to_follow takes agents, tasks and tools"
        )
        return f"It is the name of {'an' if found[0] == 'agent' else 'a'} {found[0]}: {other}."
    if kinds == _ROUTED and not scope.everywhere("method"):
        return "No flow ran: to_route is for the methods of a flow, to_follow for agents, tasks and tools."
    return "Mend the name, or see why it was left out: what did run is in the tree."
