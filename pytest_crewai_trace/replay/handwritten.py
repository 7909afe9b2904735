"""YAML as somebody wrote or edited it: read with JSON's scalars, and nothing that refers, repeats or constructs."""

from __future__ import annotations

import re
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own

DEEPEST = 60  # levels of nesting; bodies that are deeper are kept as text


class LayoutError(ValueError):
    """A text is not of the YAML that may stand in a cassette, or a value cannot be written in it."""


_CONSTANTS = {"true": True, "false": False}  # else None
_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN_SCALARS = re.compile(
    r"(?P<constant>true|false|null|~|)|(?P<int>-?(?:0|[1-9]\d*))|(?P<float>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?)",
    re.ASCII,
)


def read_yaml(text: str) -> Any:
    """The value that YAML holds.

    Raises:
        LayoutError: no YAML, or YAML with tags, anchors, aliases, repeated keys or more than one document; says where.
    """
    try:
        return _build(text)
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark
        raise LayoutError(f"{error.problem or error.context}{'' if at is None else f' (line {at.line + 1})'}") from None
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, LayoutError):
            raise
        raise LayoutError(next(iter(str(error).splitlines()), type(error).__name__)) from None


def _build(text: str) -> Any:
    root: list[Any] = []
    stack: list[Any] = [root]  # the open collections
    key: str | None = None
    for event in yaml.parse(text, Loader=_Parser):
        if getattr(event, "anchor", None) is not None:
            raise _refused("an anchor or alias (& or *)", event)
        if getattr(event, "tag", None) is not None:
            raise _refused(f"the tag {event.tag!r}", event)
        if isinstance(event, yaml.DocumentStartEvent) and root:
            raise _refused("a second document", event)
        if isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
        elif isinstance(event, yaml.NodeEvent):
            value = _value(event)
            if type(stack[-1]) is dict and key is None:
                key = _checked_key(stack[-1], value, event)
                continue
            if key is None:
                stack[-1].append(value)
            else:
                stack[-1][key] = value
            key = None
            if isinstance(event, yaml.CollectionStartEvent):
                if len(stack) > 4 * DEEPEST:
                    raise _refused("so deep a nesting", event)
                stack.append(value)
    if not root:
        raise LayoutError("it is empty")
    return root[0]


def _value(event: Any) -> Any:
    if isinstance(event, yaml.ScalarEvent):
        return _resolved(event.value) if event.implicit[0] else event.value
    return {} if isinstance(event, yaml.MappingStartEvent) else []


def _checked_key(mapping: dict[str, Any], key: Any, event: Any) -> str:
    if type(key) is not str:
        raise _refused("a key that is no text", event)
    if key in mapping:
        raise _refused(f"the key {key!r} a second time", event)
    return key


def _resolved(text: str) -> Any:
    found = _PLAIN_SCALARS.fullmatch(text)
    if found is None:
        return text
    if found["constant"] is not None:
        return _CONSTANTS.get(text)
    return int(text) if found["int"] is not None else float(text)


def _refused(what: str, at: Any) -> LayoutError:
    return LayoutError(f"{what} may not stand in a cassette (line {at.start_mark.line + 1})")
