"""What came out, against a model, data, a text or a callable."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from pytest_crewai_trace.errors import plural
from pytest_crewai_trace.expectations import given
from pytest_crewai_trace.expectations.message import Mismatch, hide
from pytest_crewai_trace.expectations.scope import Scope, error_of, name_of
from pytest_crewai_trace.expectations.shown import clean, short
from pytest_crewai_trace.expectations.values import Difference, describe, differences, is_predicate, listed
from pytest_crewai_trace.trace.render import printable

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.span import AnySpan

__tracebackhide__ = hide

_LAST = "See the last thing that happened inside the span that is marked."
_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?```\s*\Z", re.DOTALL)


def check_output(scope: Scope, wanted: Any, *, partial: bool = False) -> Mismatch | None:
    """Whether the output is as expected.

    A pydantic class must accept it, data must equal it (matchers inside are fine), a pattern must be found in its text,
    a callable must return true for it. Of a text that should be data, the JSON counts.
    """
    given.a_flag("partial", partial)
    if partial and not isinstance(wanted, dict | list):
        raise TypeError("partial=True needs the expected output as a dict or a list")
    if not _is_model(wanted):
        given.no_type("to_output", wanted)
    if isinstance(wanted, re.Pattern | str):
        given.a_text("to_output", wanted)
    span = scope.span if scope.span is not None else scope.tree.children_of(None)[-1]
    expected = f"the output of {name_of(span)} to be {_shown(wanted)}{' (partial)' if partial else ''}"
    if span.status == "error" or span.open:
        state = "failed" if span.status == "error" else "did not end"
        error = f": {error_of(span)}" if span.error is not None else ""
        return Mismatch(
            expected, f"{name_of(span)} {state}, so it has no output{error}", advice=_LAST, spans=(span.id,)
        )
    text, data = _output(span)
    if text is None and data is None:
        return Mismatch(expected, f"{name_of(span)} has no output", advice=_LAST, spans=(span.id,))
    wants_data = not isinstance(wanted, str | re.Pattern)
    actual = data if data is not None and wants_data else text
    if wants_data and isinstance(actual, str) and not is_predicate(wanted):
        try:
            actual = _json(actual)
        except ValueError:
            if isinstance(wanted, dict | list | BaseModel) or _is_model(wanted):
                return Mismatch(
                    expected,
                    f"it is a text and not JSON: {short(actual)}",
                    advice="Give the task output_pydantic= or output_json=.",
                    spans=(span.id,),
                )
    found = _misses(wanted, actual, partial=partial)
    if not found:
        return None
    return Mismatch(
        expected,
        f"it is {short(actual)}",
        nearest="\n".join([f"differs in {plural(len(found), 'place')}", listed(found)]),
        advice="See the answer that became the output, in the last LLM call of the span that is marked.",
        spans=(span.id,),
    )


def _is_model(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, BaseModel)


def _shown(wanted: Any) -> str:
    return f"a {wanted.__name__}" if _is_model(wanted) else describe(wanted)


def _output(span: AnySpan) -> tuple[Any, Any]:
    """The output as text, or whatever it is, and as data."""
    match span.kind:
        case "task":
            return span.output, span.output_data
        case "method" | "tool":
            return span.result, None
        case "llm":
            return span.response, None
        case _:
            return getattr(span, "output", getattr(span, "result", None)), None


def _json(text: str) -> Any:
    fenced = _FENCE.match(text)
    return json.loads(fenced[1] if fenced else text)


def _misses(wanted: Any, actual: Any, *, partial: bool) -> list[Difference]:
    if _is_model(wanted):
        try:
            TypeAdapter(wanted).validate_python(actual)
        except ValidationError as error:
            found = [(".".join(map(str, one["loc"])), one) for one in error.errors(include_url=False)]
            return [Difference(path, printable(one["msg"]), short(clean(one["input"], path))) for path, one in found]
        return []
    if isinstance(wanted, BaseModel):
        return differences(wanted.model_dump(mode="json"), actual, partial=partial)
    return differences(wanted, actual, partial=partial)
