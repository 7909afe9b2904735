"""What crewAI's objects say and its events do not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def own(thing: Any, name: str) -> Any:
    """An attribute of a crewAI object, or ``None``."""
    try:
        return getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - a property of a user's subclass may raise anything
        return None


def limit_of(value: Any) -> int | None:
    """A limit of iterations, if it is a number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def is_router(flow: Any, name: Any) -> bool:
    """Whether a method of a flow is a router: by the flow's definition, or by the mark that crewAI 1.13 has instead."""
    if not isinstance(name, str):
        return False
    defined = own(flow, "_definition")  # a flow that is declared in YAML has it nowhere else
    try:
        if defined is None:
            defined = type(flow).flow_definition()
        return defined.methods[name].router is True
    except Exception:  # noqa: BLE001 - crewAI 1.13, another crewAI, or no flow
        return own(own(type(flow), name), "__is_router__") is True


def in_cache(fields: Mapping[str, Any], source: Any) -> bool:
    """Whether crewAI will answer a call that begins from its cache. Of native calls it reports that nowhere."""
    cache = own(own(source, "tools_handler"), "cache")
    arguments = fields.get("tool_args")
    if cache is None or not isinstance(arguments, dict):
        return False
    try:
        return cache.read(tool=fields.get("tool_name"), input=json.dumps(arguments) if arguments else "") is not None
    except Exception:  # noqa: BLE001 - a user's own cache, or arguments that are no JSON
        return False
