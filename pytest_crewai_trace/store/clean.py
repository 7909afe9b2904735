"""A trace as it may be stored and shown: without secrets, and not too large."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from pytest_crewai_trace.trace.document import as_json, load, to_document
from pytest_crewai_trace.trace.redact import Hook, Redactor, known_secrets
from pytest_crewai_trace.trace.secret_names import Strength, strength_of
from pytest_crewai_trace.trace.span import SPAN_CLASSES

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.span import AnySpan
    from pytest_crewai_trace.trace.trace import Trace

MOST_BYTES = 50_000_000
# Most spans, and most characters of a text: tried in this order until the whole is small enough.
_SIZES: tuple[tuple[int, int | None], ...] = (
    (20_000, None),
    (20_000, 10_000),
    (20_000, 1_000),
    (2_000, 1_000),
    (100, 100),
)
# Of a span, what says nothing of what was said: a pattern of the user's that meets it must not break the document.
_STRUCTURE = frozenset({"kind", "id", "parent_id", "status", "start", "end", "messages", "origin", "events"})
_TIMES = frozenset({"started_at", "time"})
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REMEMBERED = 20_000  # characters of a text whose redaction is remembered
_MOST_REMEMBERED = 4_000_000  # characters of all of them


class _Remembering(Redactor):
    """Looks once at a text that comes again and again: a key, a role, a tool's result in the next conversation.

    A hook is asked each time.
    """

    def __init__(self, patterns: Iterable[str | re.Pattern[str]], secrets: dict[str, str], hook: Hook | None) -> None:
        super().__init__(patterns, secrets, hook)
        self._remembered: dict[str, str] = {}
        self._room = _MOST_REMEMBERED

    def clean(self, fields: dict[str, Any], kept: frozenset[str], where: str) -> None:
        """Take the secrets out of fields, in place; those that are kept, and numbers, stay as they are."""
        known = self._remembered.get if self.hook is None else None
        for name, value in fields.items():
            of = type(value)
            if (of is not str and of is not dict and of is not list) or name in kept:
                continue
            if of is str and known is not None:
                fields[name] = known(value) or self._scanned(value, 3)
            else:
                fields[name] = self.value(value, f"{where}.{name}")

    def _mapping(self, value: Mapping[Any, Any], where: str, named: Strength, level: int) -> Any:
        """As of any redactor; texts under harmless names, which nearly all are, without more ado."""
        if self.hook is not None or named is not Strength.NONE:
            return super()._mapping(value, where, named, level)
        known = self._remembered.get
        for key, item in value.items():
            if type(key) is not str or type(item) is not str or strength_of(key) is not Strength.NONE:
                return super()._mapping(value, where, named, level)
            if item != (known(item) or self._scanned(item, 3)) or key != (known(key) or self._scanned(key, 3)):
                return super()._mapping(value, where, named, level)
        return value

    def _scanned(self, text: str, levels: int) -> str:
        if levels != 3 or len(text) > _REMEMBERED:
            return super()._scanned(text, levels)
        found = self._remembered.get(text)
        if found is None:
            if len(text) == 36 and not self.patterns and _UUID.fullmatch(text):
                return self._literals(text)  # crewAI's own ids are in every span, and new in each
            self._room -= len(text) + 100
            if self._room < 0:
                self._remembered.clear()
                self._room = _MOST_REMEMBERED
            found = self._remembered[text] = super()._scanned(text, levels)
        return found


class Cleaning:
    """Takes secrets out of traces; knows those of the environment, also of variables that are gone again."""

    def __init__(self, patterns: Iterable[str | re.Pattern[str]] = (), hook: Hook | None = None) -> None:
        self._patterns = tuple(patterns)
        self._hook = hook
        self._environment: dict[str, str] = {}
        self._secrets: dict[str, str] = {}
        self._redactor = _Remembering(self._patterns, {}, hook)
        self.look()

    def look(self) -> None:
        """Take note of what the environment holds now: a fixture or a ``.env`` may have put something there."""
        environment = dict(os.environ)
        if environment == self._environment:
            return
        self._environment = environment
        secrets = {**self._secrets, **known_secrets(environment)}
        if secrets != self._secrets:
            self._secrets = secrets
            failures = self._redactor.failures
            self._redactor = _Remembering(self._patterns, secrets, self._hook)
            self._redactor.failures = failures

    @property
    def failures(self) -> list[Exception]:
        """What the user's hook raised; each time a text was dropped."""
        return self._redactor.failures

    def value(self, value: Any, where: str, named: Strength = Strength.NONE) -> Any:
        return self._redactor.value(value, where, named)

    def span(self, span: AnySpan) -> AnySpan:
        """A span without secrets, to be shown by itself: it is in no trace, and has no messages and no origin."""
        written = span.model_dump(mode="json", exclude_defaults=True, exclude={"messages", "origin"})
        self._clean_span(written, span.kind)
        return cast("AnySpan", SPAN_CLASSES[span.kind].model_validate(written))

    def known(self, value: Any) -> Any:
        """Plain data without the secrets of the environment, and with all others."""
        return self._redactor.known(value)

    def json_of(self, trace: Trace) -> bytes:
        """The document of a trace as JSON, without secrets and of at most ``MOST_BYTES``."""
        cleaned = 0
        for most_spans, most in _SIZES:
            if most_spans != cleaned:
                document, cleaned = self._clean(to_document(trace, most_spans=most_spans)), most_spans
            # Cut where no secret is left: half of one would not be found.
            content = as_json(document if most is None else shortened(document, most))
            if len(content) <= MOST_BYTES:
                break
        return content

    def trace(self, trace: Trace) -> Trace:
        """A trace without secrets, to be shown."""
        return load(self.json_of(trace))

    def _clean(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document, which is nobody else's, without its secrets."""
        redactor = self._redactor
        if "incomplete" in document:
            document["incomplete"] = redactor.value(document["incomplete"], "incomplete")
        for link in document["messages"]:
            link["tail"] = redactor.value(link["tail"], "messages")
        self._clean_facts(document, "")
        for span in document["spans"]:
            self._clean_span(span, span["kind"])
        return document

    def _clean_span(self, span: dict[str, Any], kind: str) -> None:
        self._redactor.clean(span, _STRUCTURE, kind)
        self._clean_facts(span, f"{kind}.")

    def _clean_facts(self, of: dict[str, Any], where: str) -> None:
        """Of a trace or a span: where it comes from, and what happened in it."""
        if "origin" in of:
            self._redactor.clean(of["origin"], _TIMES, f"{where}origin")
        for event in of.get("events", ()):
            self._redactor.clean(event, _TIMES, f"{where}event")


def shortened(value: Any, most: int) -> Any:
    """Plain data with its long texts cut, each with a mark that says how much is gone."""
    if isinstance(value, str):
        return value if len(value) <= most else f"{value[:most]}… [{len(value) - most:,} more characters]"
    if isinstance(value, dict):
        return {key: shortened(item, most) for key, item in value.items()}
    return [shortened(item, most) for item in value] if isinstance(value, list) else value
