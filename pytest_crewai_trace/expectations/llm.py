"""What models were called, what they said, and what they were told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.expectations import given
from pytest_crewai_trace.expectations.handover import prompts
from pytest_crewai_trace.expectations.message import Mismatch, hide
from pytest_crewai_trace.expectations.scope import Scope, listed, name_of, near, numbers_of, whose
from pytest_crewai_trace.expectations.shown import short, window
from pytest_crewai_trace.trace.query import column, gathered

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.query import SpanList
    from pytest_crewai_trace.trace.semconv import Kind
    from pytest_crewai_trace.trace.span import AnySpan, LLMSpan

__tracebackhide__ = hide

_SPEAKERS: tuple[Kind, ...] = ("llm", "agent", "task", "crew", "flow")
_AROUND = 40
_UNTRACED = "See what ran; a model that is replaced by a mock is not traced."


def _of_model(calls: SpanList[LLMSpan], model: str | None) -> Sequence[LLMSpan]:
    if model is None:
        return calls
    names = zip(column(calls, "model"), column(calls, "name"), strict=True)
    return list(compress(calls, (model in both for both in names)))


def _of(model: str | None) -> str:
    return "" if model is None else f" of {model}"


def check_call_llm(
    scope: Scope, times: given.Times, *, model: str | None = None, by: str | None = None, in_task: str | None = None
) -> Mismatch | None:
    """Whether a model was called, and as often as expected. A model goes by its name, with or without its provider."""
    model = given.a_name_or_none("model", model)
    by, in_task = given.a_name_or_none("by", by), given.a_name_or_none("in_task", in_task)
    calls = scope.of(scope.spans("llm"), by, in_task)
    fitting = _of_model(calls, model)
    if len(fitting) in times:
        return None
    expected = f"an LLM call{_of(model)}{whose(by, in_task)} to be made{times}{scope.where}"
    stranger = scope.stranger(expected, by, in_task)
    models = [call.model for call in calls]
    if stranger is not None:
        return stranger
    if not calls:
        return Mismatch(
            expected,
            f"no model was called{whose(by, in_task)}{scope.where}",
            advice=_UNTRACED,
            spans=scope.marks,
        )
    if not fitting:
        return Mismatch(
            expected,
            f"{model} was never called{near(model or '', [*models, *(call.name for call in calls)])}",
            nearest=f"models called: {listed(models)}",
            advice="Mend the name, or see which model the agents were given.",
            spans=numbers_of(calls),
        )
    return Mismatch(
        expected,
        f"it was made {given.often(len(fitting))}",
        nearest="" if len(fitting) > times.low else f"models called: {listed(models)}",
        advice="Each call that counts is marked.",
        spans=numbers_of(fitting),
    )


def check_not_call_llm(
    scope: Scope,
    *,
    model: str | None = None,
    by: str | None = None,
    in_task: str | None = None,
    unknown_ok: bool = False,
) -> Mismatch | None:
    """Whether a model was not called. A model that nobody in the trace calls needs ``unknown_ok``."""
    model = given.a_name_or_none("model", model)
    by, in_task = given.a_name_or_none("by", by), given.a_name_or_none("in_task", in_task)
    given.a_flag("unknown_ok", unknown_ok)
    calls = scope.of(scope.spans("llm"), by, in_task)
    fitting = _of_model(calls, model)
    expected = f"no LLM call{_of(model)}{whose(by, in_task)}{scope.where}"
    if fitting:
        return Mismatch(
            expected,
            f"{'it' if model else 'a model'} was called {given.often(len(fitting))}",
            nearest=f"models called: {listed(call.model for call in fitting)}",
            advice="Each call is marked.",
            spans=numbers_of(fitting),
        )
    if unknown_ok:
        return None
    stranger = scope.stranger(expected, by, in_task)
    everyone = scope.everywhere("llm")
    if stranger is None and model is not None and not _of_model(everyone, model):
        names = [name for call in everyone for name in (call.model, call.name)]
        stranger = Mismatch(
            expected,
            f"no LLM call of the trace is of {model}, so it proves nothing{near(model, names)}",
            nearest=f"models called: {listed(call.model for call in everyone)}",
            spans=scope.marks,
        )
    return _meant(stranger)


_MEND = "Mend the name, or write unknown_ok=True to say that it may be unknown."
_NOBODY = "See why nothing ran, or write unknown_ok=True to say that this may be so."


def _meant(stranger: Mismatch | None, advice: str = _MEND) -> Mismatch | None:
    """A name that the trace does not know, where nothing with that name is expected."""
    if stranger is None:
        return None
    return Mismatch(
        stranger.expected,
        stranger.actual,
        nearest=stranger.nearest or stranger.advice,
        advice=advice,
        spans=stranger.spans,
    )


def _proves_nothing(scope: Scope, expected: str, nothing: str, by: str | None, in_task: str | None) -> Mismatch | None:
    """Where a text that is not expected could not be: a name is wrong, or there was ``nothing``."""
    stranger = scope.stranger(expected, by, in_task)
    return _meant(stranger) or _meant(Mismatch(expected, nothing, spans=scope.marks), _NOBODY)


# -- what was said ----------------------------------------------------------------------------------------------------


def _looked_for(
    what: str, text: object, by: str | None, in_task: str | None
) -> tuple[given.Said, str | None, str | None]:
    return given.a_text(what, text), given.a_name_or_none("by", by), given.a_name_or_none("in_task", in_task)


def _plain_text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, default=str)


def _said(scope: Scope, by: str | None, in_task: str | None) -> Iterator[tuple[SpanList[Any], list[str]]]:
    """What models answered, and what agents, tasks, crews and flows came to: the spans of a kind, and their texts."""
    for kind in _SPEAKERS:
        spans = scope.of(scope.spans(kind), by, in_task)
        if spans:
            yield spans, gathered(spans, "said", _texts)


def _texts(spans: SpanList[Any]) -> list[str]:
    said = column(spans, "response" if spans[0].kind == "llm" else "output")
    return [text if type(text) is str else _plain_text(text) for text in said]


def check_say(scope: Scope, text: given.Text, *, by: str | None = None, in_task: str | None = None) -> Mismatch | None:
    """Whether an answer or an output has a text."""
    wanted, by, in_task = _looked_for("to_say", text, by, in_task)
    said = list[tuple["AnySpan", str]]()
    for spans, texts in _said(scope, by, in_task):
        if wanted.first_in(texts) is not None:
            return None
        said += [(span, text) for span, text in zip(spans, texts, strict=True) if text]
    expected = f"{wanted} to be said{whose(by, in_task, anyone=' by anyone')}{scope.where}"
    stranger = scope.stranger(expected, by, in_task)
    if stranger is not None:
        return stranger
    if not said:
        return Mismatch(
            expected,
            "nothing was said: no model answered and nothing has an output",
            advice=_UNTRACED,
            spans=scope.marks,
        )
    span, _, why = _closest(wanted, said)
    return Mismatch(
        expected,
        f"it is in none of {len(said)} answers and outputs",
        nearest=f"{name_of(span)} said {why}",
        advice="See what the model was told in the LLM call that is marked.",
        spans=(span.id,),
    )


def _closest(wanted: given.Said, said: list[tuple[AnySpan, str]]) -> tuple[AnySpan, str, str]:
    if isinstance(wanted.given, str):
        folded = wanted.given.casefold()
        for span, spoken in said:
            place = spoken.casefold().find(folded)
            if place >= 0:
                return span, spoken, f"{_around(spoken, place, len(folded))}: only the case differs"
    answers = [entry for entry in said if entry[0].kind == "llm"]
    span, spoken = (answers or said)[-1]
    return span, spoken, short(spoken)


def _around(text: str, place: int, length: int) -> str:
    return window(text, place, _AROUND, min(length, 2 * _AROUND) + _AROUND)


def check_not_say(
    scope: Scope, text: given.Text, *, by: str | None = None, in_task: str | None = None, unknown_ok: bool = False
) -> Mismatch | None:
    """Whether no answer and no output has a text; where nobody said anything that proves nothing."""
    unwanted, by, in_task = _looked_for("not_to_say", text, by, in_task)
    given.a_flag("unknown_ok", unknown_ok)
    expected = f"{unwanted} not to be said{whose(by, in_task, anyone=' by anyone')}{scope.where}"
    spoke = False
    for spans, texts in _said(scope, by, in_task):
        spoke = spoke or any(texts)
        place = unwanted.first_in(texts)
        if place is not None:
            return Mismatch(
                expected,
                f"{name_of(spans[place])} said {_where_in(unwanted, texts[place])}",
                advice="See what the model was told in the span that is marked.",
                spans=(spans[place].id,),
            )
    if spoke or unknown_ok:
        return None
    nothing = "nothing was said, so it proves nothing: no model answered and nothing has an output"
    return _proves_nothing(scope, expected, nothing, by, in_task)


def _where_in(text: given.Said, spoken: str) -> str:
    if isinstance(text.given, str):
        return _around(spoken, spoken.find(text.given), len(text.given))
    found = text.given.search(spoken) if hasattr(text.given, "search") else None
    return short(spoken) if found is None else _around(spoken, found.start(), found.end() - found.start())


# -- what was told ----------------------------------------------------------------------------------------------------


def check_see(scope: Scope, text: given.Text, *, by: str | None = None, in_task: str | None = None) -> Mismatch | None:
    """Whether a message that a model was sent has a text."""
    wanted, by, in_task = _looked_for("to_see", text, by, in_task)
    calls = scope.of(scope.spans("llm"), by, in_task)
    told = prompts(calls)
    if wanted.first_in([text for _, _, text in told]) is not None:
        return None
    expected = f"{wanted} to be in a prompt{whose(by, in_task, word='of')}{scope.where}"
    stranger = scope.stranger(expected, by, in_task)
    if stranger is not None:
        return stranger
    if not told:
        return Mismatch(expected, f"no model was asked anything{scope.where}", advice=_UNTRACED, spans=scope.marks)
    return Mismatch(
        expected,
        f"it is in none of {len(told)} messages",
        nearest=f"the last one: {short(told[-1][2])}",
        advice="What is not in a prompt the model cannot know: see the task's description and context.",
        spans=numbers_of(calls, 5),
    )


def check_not_see(
    scope: Scope, text: given.Text, *, by: str | None = None, in_task: str | None = None, unknown_ok: bool = False
) -> Mismatch | None:
    """Whether no message that a model was sent has a text; where no model was asked that proves nothing."""
    unwanted, by, in_task = _looked_for("not_to_see", text, by, in_task)
    given.a_flag("unknown_ok", unknown_ok)
    expected = f"{unwanted} not to be in a prompt{whose(by, in_task, word='of')}{scope.where}"
    told = prompts(scope.of(scope.spans("llm"), by, in_task))
    place = unwanted.first_in([text for _, _, text in told])
    if place is not None:
        call, message, text = told[place]
        return Mismatch(
            expected,
            f"the {message.get('role', 'first')} message of {name_of(call)} has it: {_where_in(unwanted, text)}",
            advice="The first LLM call that was sent it is marked.",
            spans=(call.id,),
        )
    if told or unknown_ok:
        return None
    return _proves_nothing(scope, expected, "no model was asked anything, so it proves nothing", by, in_task)
