"""Several tool calls at once: exactly these, in this order, or in any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from pytest_crewai_trace.errors import plural
from pytest_crewai_trace.expectations import given
from pytest_crewai_trace.expectations.message import Mismatch, hide
from pytest_crewai_trace.expectations.scope import Scope, near, numbers_of
from pytest_crewai_trace.expectations.shown import arguments, short
from pytest_crewai_trace.expectations.tools import call_of, call_shown
from pytest_crewai_trace.expectations.values import (
    Difference,
    describe,
    differences,
    fits,
    is_predicate,
    listed,
    passes,
    under,
)
from pytest_crewai_trace.trace.render import cut, printable
from pytest_crewai_trace.trace.values import ToolCall

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.query import SpanList
    from pytest_crewai_trace.trace.span import ToolSpan

__tracebackhide__ = hide

Order: TypeAlias = Literal["exact", "in_order", "any_order"]
Compare: TypeAlias = Literal["exact", "partial", "ignore"] | Callable[[dict[str, Any], dict[str, Any]], Any]
ORDERS: tuple[Order, ...] = ("exact", "in_order", "any_order")
_COMPARE = ("exact", "partial", "ignore")
_MOST_SHOWN = 6
_REST = {"error": "error", "agent": "agent_role", "task": "task_name", "cached": "cached"}


@dataclass(frozen=True)
class Item:
    """One expected call: a name, or a call of which only what is set is compared."""

    name: str
    call: ToolCall | None
    compare: Compare

    def fits(self, span: ToolSpan) -> bool:
        """Whether a call is as expected; stops at the first thing that is not."""
        call = self.call
        if span.name != self.name or call is None:
            return span.name == self.name
        return (
            self._has(call.arguments, span.arguments)
            and ("result" not in call.model_fields_set or fits(call.result, span.result))
            and not any(True for _ in _rest(call, span))
        )

    def misses(self, span: ToolSpan) -> list[Difference]:
        if span.name != self.name:
            return [Difference("tool", printable(self.name), printable(span.name))]
        return [] if self.call is None else self._different(self.call, span)

    def _different(self, call: ToolCall, span: ToolSpan) -> list[Difference]:
        found = []
        if not self._has(call.arguments, span.arguments):
            found = (
                [Difference("arguments", describe(call.arguments), short(span.arguments))]
                if callable(self.compare)
                else differences(call.arguments, span.arguments, partial=self.compare == "partial")
            )
        if "result" in call.model_fields_set:
            found += [under("result", one) for one in differences(call.result, span.result)]
        return found + [
            Difference(field, describe(getattr(call, field)), short(seen)) for field, seen in _rest(call, span)
        ]

    def _has(self, expected: dict[str, Any], actual: dict[str, Any]) -> bool:
        if self.compare == "ignore":
            return True
        if callable(self.compare):
            return passes(self.compare, expected, actual)
        return fits(expected, actual, partial=self.compare == "partial")

    def __str__(self) -> str:
        if self.call is None or self.compare == "ignore":
            return printable(self.name)
        inside = arguments(self.call.arguments, describe)
        return f"{printable(self.name)}({inside}{', ...' if self.compare == 'partial' else ''})"


def _rest(call: ToolCall, span: ToolSpan) -> Iterator[tuple[str, Any]]:
    """What else is expected of a call and is not so: which field, and what it is."""
    for field, name in _REST.items():
        if field not in call.model_fields_set:
            continue
        seen = getattr(span, name)
        seen = str(seen) if field == "error" and seen is not None else seen
        if getattr(call, field) != seen:
            yield field, seen


def items(expected: object, *, partial: bool, overrides: Mapping[str, Compare] | None) -> list[Item]:
    """The expected calls, checked."""
    calls = given.a_sequence("to_call_tools", expected, "to_call_tools(['search', ToolCall('fetch', {...})])")
    if not calls:
        raise ValueError(
            "to_call_tools([]) expects nothing: to say that no tool is called, assert trace.tool_calls == []"
        )
    given.a_flag("partial", partial)
    if overrides is not None and not isinstance(overrides, Mapping):
        raise TypeError(f"overrides takes a dict, not {short(overrides)}: write overrides={{'search': 'partial'}}")
    compare: dict[str, Compare] = {}
    for name, how in ({} if overrides is None else overrides).items():
        if how not in _COMPARE and not is_predicate(how):
            raise ValueError(
                f"overrides[{name!r}]={short(how)}: it takes 'exact', 'partial', 'ignore' or a callable of two dicts"
            )
        compare[name] = how
    made = []
    by_name: dict[str, Item] = {}
    for call in calls:
        if isinstance(call, str):
            if call not in by_name:
                by_name[call] = Item(given.a_name("to_call_tools", call), None, "ignore")
            made.append(by_name[call])
        elif isinstance(call, ToolCall):
            name = call.name
            made.append(Item(name, call, compare.get(name, "partial" if partial else "exact")))
        else:
            raise TypeError(f"to_call_tools takes names and ToolCalls, not {short(call)}")
    if unused := [name for name in compare if name not in {item.name for item in made}]:
        raise ValueError(
            f"overrides[{unused[0]!r}]: no expected call has this name{near(unused[0], (i.name for i in made))}"
        )
    return made


def check_call_tools(
    scope: Scope, wanted: Sequence[Item], order: Order = "exact", *, allow_extra: bool | None = None
) -> Mismatch | None:
    """Whether the tool calls are the expected ones.

    ``exact``: these, in this order, and no other. ``in_order``: in this order, others may stand between them unless
    ``allow_extra`` is false. ``any_order``: each of them, and no other unless ``allow_extra``.
    """
    order = cast("Order", given.a_choice("order", order, ORDERS))
    if order == "exact" and allow_extra:
        raise TypeError("order='exact' leaves no room for other calls: write order='in_order' or 'any_order'")
    calls = scope.spans("tool")
    extra = order == "in_order" if allow_extra is None else given.a_flag("allow_extra", allow_extra)
    expected = f"{_shown(wanted)}{_how(order, extra)}{scope.where}"
    if order == "any_order":
        return _in_any_order(wanted, calls, expected, extra=extra, marks=scope.marks)
    if extra:
        return _in_order(wanted, calls, expected, scope.marks)
    return _one_by_one(wanted, calls, expected, scope.marks)


def _how(order: Order, extra: bool) -> str:
    others = "others may come too" if extra else "and no other"
    return f", in any order, {others}" if order == "any_order" else f", in this order, {others}"


def _shown(wanted: Sequence[Item]) -> str:
    shown = ", ".join(cut(str(item), 80) for item in wanted[:_MOST_SHOWN])
    more = len(wanted) - _MOST_SHOWN
    return f"{plural(len(wanted), 'tool call')}: {shown}" + (f" and {more} more" if more > 0 else "")


def _were(calls: Sequence[ToolSpan]) -> str:
    if not calls:
        return "no tool was called"
    shown = ", ".join(cut(call_of(span), 80) for span in calls[:_MOST_SHOWN])
    more = len(calls) - _MOST_SHOWN
    return f"{plural(len(calls), 'tool call')}: {shown}" + (f" and {more} more" if more > 0 else "")


def _one_by_one(
    wanted: Sequence[Item], calls: Sequence[ToolSpan], expected: str, marks: tuple[int, ...]
) -> Mismatch | None:
    for place, (item, span) in enumerate(zip(wanted, calls, strict=False)):
        if not item.fits(span):
            return Mismatch(
                expected,
                _were(calls),
                nearest=_differs(place, len(calls), item, span),
                advice="The first call that differs is marked: see what its model was told.",
                spans=(span.id,),
            )
    if len(wanted) > len(calls):
        item = wanted[len(calls)]
        return Mismatch(
            expected,
            _were(calls),
            nearest=f"all of these are as expected; then {item} is missing" if calls else f"{item} is missing",
            advice="See what the model answered instead of calling it.",
            spans=numbers_of(calls[-1:]) or marks,
        )
    if len(wanted) < len(calls):
        extra = calls[len(wanted) :]
        return Mismatch(
            expected,
            _were(calls),
            nearest=f"the expected ones are there; then {call_shown(extra[0])} came too",
            advice="Where other calls may come, write order='in_order' (between them) or allow_extra=True.",
            spans=numbers_of(extra),
        )
    return None


def _differs(place: int, of: int, item: Item, span: ToolSpan) -> str:
    return f"call {place + 1} of {of} is {call_shown(span)}\n{listed(item.misses(span))}"


def _in_order(
    wanted: Sequence[Item], calls: SpanList[ToolSpan], expected: str, marks: tuple[int, ...]
) -> Mismatch | None:
    left = {name: iter(calls.named(name)) for name in {item.name for item in wanted}}
    found: list[ToolSpan] = []
    last = -1
    for item in wanted:
        span = next((span for span in left[item.name] if span.id > last and item.fits(span)), None)
        if span is None:
            return Mismatch(
                expected,
                _were(calls),
                nearest=_missing(item, calls, found),
                advice="The calls that were found are marked; the next one should come after them.",
                spans=numbers_of(found) or marks,
            )
        found.append(span)
        last = span.id
    return None


def _missing(item: Item, calls: Sequence[ToolSpan], found: Sequence[ToolSpan]) -> str:
    after = f" after {call_shown(found[-1])}" if found else ""
    known = {span.id for span in found}
    earlier = next((span for span in calls if span.id not in known and item.fits(span)), None)
    if earlier is not None:
        return f"{item} was not called{after}, but before it"
    alike = [span for span in calls if span.name == item.name]
    if not alike:
        return f"{item} was never called{near(item.name, (span.name for span in calls))}"
    closest = min(alike, key=lambda span: len(item.misses(span)))
    return f"{item} was not called{after}; nearest is {call_shown(closest)}\n{listed(item.misses(closest))}"


def _in_any_order(
    wanted: Sequence[Item], calls: Sequence[ToolSpan], expected: str, *, extra: bool, marks: tuple[int, ...]
) -> Mismatch | None:
    taken = _assign(wanted, calls)
    missing = [item for place, item in enumerate(wanted) if place not in taken]
    used = set(taken.values())
    others = [span for place, span in enumerate(calls) if place not in used]
    if missing:
        item = missing[0]
        alike = sorted((span for span in others if span.name == item.name), key=lambda span: len(item.misses(span)))
        nearest = f"nearest to it is {call_shown(alike[0])}\n{listed(item.misses(alike[0]))}" if alike else ""
        return Mismatch(
            expected,
            _were(calls),
            nearest=f"{item} is missing{near(item.name, (s.name for s in others)) if not alike else ''}"
            + (f"; {nearest}" if nearest else ""),
            advice="The calls that nobody expected are marked." if others else "See what the model answered instead.",
            spans=numbers_of(alike[:1] or others) or numbers_of(calls[-1:]) or marks,
        )
    if others and not extra:
        return Mismatch(
            expected,
            _were(calls),
            nearest=f"the expected ones are there; {call_shown(others[0])} came too",
            advice="Where other calls may come, write allow_extra=True.",
            spans=numbers_of(others),
        )
    return None


def _assign(wanted: Sequence[Item], calls: Sequence[ToolSpan]) -> dict[int, int]:
    """A call for as many expected ones as can be, each call once: the place of the call by that of the item."""
    by_name: dict[str, list[int]] = {}
    for place, span in enumerate(calls):
        by_name.setdefault(span.name, []).append(place)
    free = {name: dict.fromkeys(places) for name, places in by_name.items()}
    taken: dict[int, int] = {}
    left: list[int] = []
    # First come, first served will nearly always do, if those that take any call come last.
    for number in sorted(range(len(wanted)), key=lambda number: wanted[number].call is None):
        item = wanted[number]
        places = free.get(item.name, {})
        first = next((place for place in places if item.call is None or item.fits(calls[place])), None)
        if first is None:
            left.append(number)
        else:
            taken[number] = first
            del places[first]
    holder = {place: number for number, place in taken.items()}
    for number in left:
        _make_room(number, wanted, calls, by_name, holder)
    return {number: place for place, number in holder.items()}


def _make_room(
    number: int,
    wanted: Sequence[Item],
    calls: Sequence[ToolSpan],
    by_name: Mapping[str, Sequence[int]],
    holder: dict[int, int],
) -> bool:
    """Give an item a call, if others that hold one can take another (an augmenting path, breadth first)."""
    came_from: dict[int, int] = {}
    queue = [number]
    for current in queue:
        for place in by_name.get(wanted[current].name, ()):
            if place in came_from or not wanted[current].fits(calls[place]):
                continue
            came_from[place] = current
            if place not in holder:
                _pass_on(place, number, came_from, holder)
                return True
            queue.append(holder[place])
    return False


def _pass_on(place: int, number: int, came_from: Mapping[int, int], holder: dict[int, int]) -> None:
    held = {item: where for where, item in holder.items()}
    while True:
        item = came_from[place]
        holder[place] = item
        if item == number:
            return
        place = held[item]
