"""What a call of an expectation says when its arguments do not fit: which one, and what it takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Any, TypeVar

from pytest_crewai_trace.errors import did_you_mean
from pytest_crewai_trace.expectations.message import hide

__tracebackhide__ = hide

C = TypeVar("C", bound=type)


def says_what_it_takes(cls: C) -> C:
    """Have the expectations of a class name, in the place of Python's own words, what they take."""
    for name, method in list(vars(cls).items()):
        if name.startswith(("to_", "not_to_")):
            setattr(cls, name, _said(method))
    return cls


def _said(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except TypeError:
            why = _misfit(method, args, kwargs)
            if not why:
                raise
            raise TypeError(why) from None

    return call


def _misfit(method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Why the arguments do not fit the signature, or ``""``."""
    parameters = signature(method).parameters
    takes = [name for name in parameters if name != "self"]
    unknown = next((name for name in kwargs if name not in takes), None)
    if unknown is not None:
        said = f"{method.__name__}() takes no {unknown}=;{did_you_mean(unknown, takes)}"
        return (
            f"{said} it takes {_listed(parameters.values())}{_remedy(method.__name__, unknown, kwargs[unknown], takes)}"
        )
    try:
        signature(method).bind(*args, **kwargs)
    except TypeError as error:
        return f"{method.__name__}(): {error}; it takes {_listed(parameters.values())}"
    return ""


def _remedy(method: str, name: str, value: Any, takes: list[str]) -> str:
    if "arguments" not in takes or did_you_mean(name, takes):
        return ""
    return f"; the arguments of the tool go into a dict: {method}(..., {{{name!r}: {value!r}}})"


def _listed(parameters: Any) -> str:
    shown = []
    for parameter in parameters:
        if parameter.name == "self":
            continue
        star = {Parameter.VAR_POSITIONAL: f"*{parameter.name}", Parameter.KEYWORD_ONLY: f"{parameter.name}="}
        shown.append(star.get(parameter.kind, parameter.name))
    return ", ".join(shown) or "nothing"
