"""The redactor of a session: the environment's secrets, the patterns of ini, the hook of plugins."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace import settings
from pytest_crewai_trace.errors import answer_of
from pytest_crewai_trace.trace.redact import Hook, Redactor, known_secrets

if TYPE_CHECKING:
    import pytest

    from pytest_crewai_trace.store.clean import Cleaning

INI = "crewai_trace_redact"


def redactor_of(config: pytest.Config, ihook: Any) -> Redactor:
    """The redactor for what is about to be written; ``ihook`` are the hooks of an item, or of the session."""
    hook = _chain(ihook.pytest_crewai_trace_redact) if ihook.pytest_crewai_trace_redact.get_hookimpls() else None
    return Redactor(config.getini(INI), known_secrets(os.environ), hook)


def showing() -> Cleaning:
    """What takes secrets out of what is shown now: as the running session has it, or, without one, by our rules."""
    if settings.RUNNING:
        from pytest_crewai_trace.keeping import keeping_of

        cleaning = keeping_of(settings.RUNNING[-1]).cleaning
        cleaning.look()
        return cleaning
    from pytest_crewai_trace.store.clean import Cleaning

    return Cleaning()


def _chain(caller: Any) -> Hook:
    """All implementations one after the other, each on what the one before left."""
    implementations = caller.get_hookimpls()[::-1]

    def redact(text: str, where: str) -> str:
        for implementation in implementations:
            given = {"text": text, "where": where}
            changed = answer_of("pytest_crewai_trace_redact", implementation, given, _text_or_none)
            text = text if changed is None else changed
        return text

    return redact


def _text_or_none(changed: Any) -> str | None:
    if changed is not None and type(changed) is not str:
        raise TypeError(f"it gave {type(changed).__name__}, not str or None")
    return changed
