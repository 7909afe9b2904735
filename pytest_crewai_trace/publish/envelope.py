"""What is sent to CrewAI AMP for one execution, as data on disk."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StrictBool, StrictFloat, StrictInt

from pytest_crewai_trace.trace.document import as_json

Attribute = StrictBool | StrictInt | StrictFloat | str


def _decoded(value: Any) -> Any:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


Base64 = Annotated[bytes, BeforeValidator(_decoded), PlainSerializer(_encoded, when_used="json")]


def _uuid(value: Any) -> Any:
    return str(UUID(value)) if isinstance(value, str) else value


class Envelope(BaseModel):
    """One execution, redacted and ready to be sent.

    ``execution_uuid``: AMP's key of the trace, the same for every try; each span carries it as
    ``crewai.execution_uuid``. ``name``: of the crew or the flow. ``execution_type``: ``crew``, ``flow`` or what else
    crewAI calls it. ``duration``: seconds. ``test``: the attributes that we add; sending puts them on the root spans.
    ``spans``: one serialised OTLP ``ExportTraceServiceRequest``, or ``None`` where crewAI makes none (before 1.15.22).
    ``events``: those of AMP's batch protocol, for an older crewAI or a server that has no grants.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    execution_uuid: Annotated[str, BeforeValidator(_uuid)]
    name: str
    execution_type: str = "crew"
    crewai_version: str = ""
    started_at: datetime | None = None
    duration: float | None = None
    test: dict[str, Attribute] = {}
    spans: Base64 | None = None
    events: tuple[dict[str, Any], ...] = ()

    def dump(self) -> str:
        """The envelope as JSON."""
        written = self.model_dump(mode="json", exclude_defaults=True)
        return as_json({"schema_version": self.schema_version, **written}).decode()

    @classmethod
    def load(cls, text: str | bytes) -> Envelope:
        """The envelope that ``dump`` wrote.

        Raises ``ValueError`` (pydantic's) for a text that is not an envelope, or is of a newer schema.
        """
        return cls.model_validate_json(text)
