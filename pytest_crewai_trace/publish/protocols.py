"""The two protocols of AMP: grants with OTLP, and batches of events."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from pytest_crewai_trace.publish.calls import Caller, CallError, TimeIsUp
from pytest_crewai_trace.publish.cargo import Cargo, Events, Spans
from pytest_crewai_trace.publish.delivery import Progress
from pytest_crewai_trace.publish.grant import Grant, is_token, json_object, read_grant
from pytest_crewai_trace.publish.line import Answer, Request
from pytest_crewai_trace.store.surroundings import versions
from pytest_crewai_trace.trace.document import as_json

if TYPE_CHECKING:
    from pytest_crewai_trace.publish.credentials import Access
    from pytest_crewai_trace.publish.delivery import Protocol
    from pytest_crewai_trace.publish.envelope import Envelope

_TRACING = "/crewai_plus/api/v1/tracing"
_AMP, _COLLECTOR = "AMP", "AMP's collector"
_REFUSED = frozenset({401, 403})
_TOO_LARGE = 413
_Read = TypeVar("_Read")


class CredentialRefused(CallError):  # noqa: N818 - what happened, not an error of ours
    """AMP does not take the credential, or wants one."""


class GrantsUnknown(CallError):  # noqa: N818
    """The server is older than grants."""


class NothingToSend(CallError):  # noqa: N818
    """An envelope that is empty."""

    def __init__(self) -> None:
        super().__init__("there is nothing in it to send", state="skipped")


class Trip:
    """One envelope on its way. ``progress`` and ``page`` say how far it came, ``cut`` what was shortened."""

    def __init__(
        self,
        access: Access,
        envelope: Envelope,
        caller: Caller,
        progress: Progress | None,
        *,
        now: Callable[[], datetime],
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.progress = progress
        self.page: str | None = None
        self.cut = 0
        self._access = access
        self._envelope = envelope
        self._caller = caller
        self._now = now
        self._on_progress = on_progress

    # -- grants -------------------------------------------------------------------------------------------------------

    def by_grant(self) -> None:
        """Send the spans under a grant.

        Raises:
            GrantsUnknown: the server has none.
            CallError: it did not work out.
        """
        cargo = Spans(self._envelope, self._so_far("grants").accepted)
        if not cargo.total:
            raise NothingToSend
        if cargo.done == cargo.total:
            return
        grant, renewed = self._grant(), False
        while cargo.done < cargo.total:
            body = self._body(cargo)
            if cargo.done and grant.expires_soon(self._now()) and not renewed:
                grant, renewed = self._grant(), True
            try:
                rejected = self._export(grant, body)
            except CallError as error:
                if error.status == _TOO_LARGE and cargo.refused(len(body)):
                    continue
                if error.status in _REFUSED and not renewed:
                    grant, renewed = self._grant(), True
                    continue
                if error.status in _REFUSED:
                    raise CallError(f"{_COLLECTOR} refused the grant", error.status) from None
                raise
            self._took(cargo, "grants", rejected)

    def _grant(self) -> Grant:
        access, uuid = self._access, self._envelope.execution_uuid
        body = as_json({"execution_uuid": uuid, "include_trace_url": True})
        request = Request("POST", f"{access.base_url}{_TRACING}/grants", self._headers(), body)

        def read(answer: Answer) -> Grant:
            if answer.status != 200:
                raise ValueError(f"was HTTP {answer.status} instead of a grant")
            token = None if access.credential is None else access.credential.token
            return read_grant(answer.body, execution_uuid=uuid, base=access.base_url, credential=token, now=self._now())

        try:
            grant = self._ask(request, read)
        except CallError as error:
            if error.status == 404:
                raise GrantsUnknown(str(error), error.status, error.state) from None
            raise
        self.page = grant.page or self.page
        return grant

    def _export(self, grant: Grant, body: bytes) -> int:
        headers = headers_of("application/x-protobuf", grant.token)
        request = Request("POST", grant.collector, headers, body)
        return self._caller.call(_COLLECTOR, request, _rejected_spans)

    # -- batches ------------------------------------------------------------------------------------------------------

    def by_batch(self) -> None:
        """Send the events as a batch; one that fails is marked as failed.

        Raises:
            CallError: it did not work out.
        """
        anonymous = self._access.credential is None
        root = f"{self._access.base_url}{_TRACING}{'/ephemeral' if anonymous else ''}/batches"
        batch = f"{root}/{self._envelope.execution_uuid}"
        resumed = self.progress is not None and self.progress.protocol == "batches"
        if not resumed:
            self._open(root, anonymous=anonymous)
            self._note(Progress("batches", 0))
        try:
            self._fill(batch)
        except CallError as error:
            if resumed and error.status == 404:  # the server has not kept what an earlier delivery began
                self.progress = None
                self.by_batch()
                return
            if error.status is not None and not isinstance(error, TimeIsUp | CredentialRefused):
                self._mark_failed(batch, str(error))
            raise
        if not anonymous:  # the page of an anonymous batch needs an access code
            self.page = f"{self._access.base_url}/crewai_plus/trace_batches/{self._envelope.execution_uuid}"

    def _fill(self, batch: str) -> None:
        cargo = Events(self._envelope, self._so_far("batches").accepted)
        while cargo.done < cargo.total:
            body = self._body(cargo)
            try:
                self._amp("POST", f"{batch}/events", body)
            except CallError as error:
                if error.status == _TOO_LARGE and cargo.refused(len(body)):
                    continue
                raise
            self._took(cargo, "batches", 0)
        duration = None if self._envelope.duration is None else round(self._envelope.duration * 1_000)
        ended = {"status": "completed", "duration_ms": duration, "final_event_count": cargo.total}
        self._amp("PATCH", f"{batch}/finalize", as_json(ended))

    def _open(self, root: str, *, anonymous: bool) -> None:
        envelope, uuid = self._envelope, self._envelope.execution_uuid
        flow = envelope.execution_type == "flow"
        started = envelope.started_at or self._now()
        body: dict[str, Any] = {
            "trace_id": uuid,
            "execution_type": envelope.execution_type,
            "execution_context": {
                "crew_fingerprint": None,
                "crew_name": None if flow else envelope.name,
                "flow_name": envelope.name if flow else None,
                "crewai_version": envelope.crewai_version,
                "privacy_level": "standard",
            },
            "execution_metadata": {
                "expected_duration_estimate": 300,
                "agent_count": 0,
                "task_count": 0,
                "flow_method_count": 0,
                "execution_started_at": started.astimezone(timezone.utc).isoformat(),
            },
        }
        if anonymous:
            body["ephemeral_trace_id"] = uuid
        try:
            opened = self._amp("POST", root, as_json(body))
        except CallError as error:
            if error.status == 409:  # an earlier try has opened it, and its answer was lost
                return
            raise
        if opened.get("ephemeral_trace_id" if anonymous else "trace_id") != uuid:
            raise CallError(f"the answer of {_AMP} is about another batch")

    def _amp(self, method: str, url: str, body: bytes) -> dict[str, Any]:
        request = Request(method, url, self._headers(), body)
        return self._ask(request, lambda answer: json_object(answer.body))

    def _mark_failed(self, batch: str, why: str) -> None:
        body = as_json({"status": "failed", "failure_reason": why})
        with suppress(CallError):
            self._caller.call(_AMP, Request("PATCH", batch, self._headers(), body), lambda answer: None, tries=1)

    # -- both ---------------------------------------------------------------------------------------------------------

    def _ask(self, request: Request, read: Callable[[Answer], _Read]) -> _Read:
        try:
            return self._caller.call(_AMP, request, read)
        except CallError as error:
            if error.status in _REFUSED:
                raise CredentialRefused(_refusal(self._access, error.status), error.status) from None
            raise

    def _headers(self) -> httpx.Headers:
        access = self._access
        headers = headers_of("application/json", None if access.credential is None else access.credential.token)
        if is_token(self._envelope.crewai_version):
            headers["X-Crewai-Version"] = self._envelope.crewai_version
        if access.organization and access.credential is not None:
            headers["X-Crewai-Organization-Id"] = access.organization
        return headers

    def _so_far(self, protocol: Protocol) -> Progress:
        if self.progress is None or self.progress.protocol != protocol:
            return Progress(protocol, 0)
        return self.progress

    def _body(self, cargo: Cargo[Any]) -> bytes:
        body = cargo.body()
        self.cut = cargo.cut
        if body is None:
            raise CallError(f"one of its {cargo.what} cannot be made to fit into a request", state="rejected")
        return body

    def _took(self, cargo: Cargo[Any], protocol: Protocol, rejected: int) -> None:
        rejected = self._so_far(protocol).rejected + min(rejected, cargo.took())
        self.progress = Progress(protocol, cargo.done, rejected)
        if cargo.done < cargo.total or protocol == "batches":
            self._note(self.progress)

    def _note(self, progress: Progress) -> None:
        self.progress = progress
        self._on_progress(progress)


def headers_of(content_type: str, token: str | None) -> httpx.Headers:
    headers = httpx.Headers(
        {
            "Content-Type": content_type,
            "User-Agent": f"pytest-crewai-trace/{versions().get('pytest-crewai-trace', 'unknown')}",
            "Accept-Encoding": "identity",
        }
    )
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _refusal(access: Access, status: int) -> str:
    if access.credential is None:
        return f"AMP takes no anonymous traces (HTTP {status})"
    return f"AMP refused {access.credential.source} (HTTP {status}): {access.credential.remedy}"


def _rejected_spans(answer: Answer) -> int:
    """How many spans the collector did not want, by its answer.

    Raises ``ValueError`` with what the answer is instead of one of OTLP.
    """
    if answer.content_type == "application/json":
        partial = json_object(answer.body or b"{}").get("partialSuccess") or {}
        rejected = partial.get("rejectedSpans", 0) if isinstance(partial, dict) else 0
        return max(int(rejected), 0) if str(rejected).isdecimal() else 0
    if answer.content_type not in {"application/x-protobuf", ""}:
        raise ValueError("is not OTLP")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    try:
        found = ExportTraceServiceResponse.FromString(answer.body)
    except Exception:  # noqa: BLE001 - protobuf has an error of its own for this, in a package without types
        raise ValueError("is not OTLP") from None
    return int(max(found.partial_success.rejected_spans, 0))
