"""Every fault of the network, met by the command that publishes: how often the server was asked, what was waited, how
long it took, the exit code, what was said, and what is left to send."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_crewai_trace.cli.publish import publish
from pytest_crewai_trace.publish import outbox
from pytest_crewai_trace.publish.amp import Amp as Client
from tests.support import faults
from tests.support.amp import COLLECTOR, GRANTS, Amp
from tests.support.amp_faults import (
    before_body,
    expiring,
    gone,
    granting,
    instead,
    living,
    lost,
    most_bytes,
    most_spans,
    on,
    partial,
    status,
)
from tests.support.envelopes import envelope, events, uuid
from tests.support.loopback import Reply, json_reply

GRANT, EXPORT = "POST /grants", "POST /v1/traces"
OPEN, EVENTS, FINALIZE, MARK = (
    "POST /batches",
    "POST /batches/*/events",
    "PATCH /batches/*/finalize",
    "PATCH /batches/*",
)
BACKOFF = [0.5, 1.0]
FAILED, SENT, REJECTED, PARTIAL = "failed", "sent", "rejected", "partial"
REFUSED = "AMP refused the token in CREWAI_USER_PAT (HTTP 401): set it to a valid personal access token"
COLLECTOR_ELSEWHERE = "names a collector that is neither https nor on this machine"
IN_A_ROW = "publishing was stopped after 3 failures in a row"


@dataclass(frozen=True)
class Row:
    """A fault, and what it comes to. ``fault`` changes the server and may give another URL to go to.

    ``requests``: all that reach the server, in their order. ``state`` and ``reason``: what becomes of the first trace.
    ``pauses``: seconds waited between tries. ``seconds``: the most that it really takes. ``left``: how many traces are
    still to be sent. ``said``: the last lines, where they are not those of one trace in that ``state``. ``options``: of
    the client. ``environ``: variables; ``{certificate}`` stands for the file of the one that a server with ``tls`` has.
    """

    name: str
    fault: Callable[[Amp], Any]
    requests: list[str]
    state: str = FAILED
    reason: str = ""
    pauses: list[float] = field(default_factory=list)
    seconds: float = 5.0
    left: int | None = None
    envelopes: tuple[Any, ...] = (envelope(),)
    said: tuple[str, ...] | None = None
    exit_code: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    tls: bool = False


# The exit code of one trace that ended like this, and what is said besides "published 0 traces".
ENDS = {
    SENT: (0, ()),
    FAILED: (1, ("1 trace not sent: {reason}; kept, for: crewai-trace publish {place}",)),
    REJECTED: (1, ("1 trace not accepted by AMP, and not to be sent again: {reason}",)),
    PARTIAL: (1, ("1 trace reached AMP in part: {reason}",)),
}
KEPT_ALL = "1 trace not sent; kept, for: crewai-trace publish {place}"
KEPT_FIVE = KEPT_ALL.replace("1 trace", "5 traces")
NO_GRANTS = Reply(404, b"<h1>Not Found</h1>", content_type="text/html")
SLOW = {"request_timeout": 0.2}
SHORT = {"total_timeout": 0.5}
UP = "the 0.5 s for publishing were up"
BATCH = (envelope(spans=None, events=events(3)),)
FIVE = tuple(map(envelope, range(5)))
LARGE = (envelope(spans=450),)

ROWS = [
    Row(
        "S14 the name is unknown",
        instead("http://nowhere.invalid"),
        [],
        reason="AMP has a name that cannot be looked up",
        pauses=BACKOFF,
        seconds=20,
    ),
    Row("S15 refused", gone, [], reason="AMP refused the connection", pauses=BACKOFF),
    Row(
        "S15 reset before the body is read",
        before_body(GRANTS, faults.reset),
        [GRANT] * 3,
        reason="AMP broke off the connection",
        pauses=BACKOFF,
    ),
    Row(
        "S15 reset after the body",
        on(GRANTS, faults.reset),
        [GRANT] * 3,
        reason="AMP broke off the connection",
        pauses=BACKOFF,
    ),
    Row(
        "S15 closed without a word",
        on(GRANTS, faults.hang_up),
        [GRANT] * 3,
        reason="AMP broke off the connection",
        pauses=BACKOFF,
    ),
    Row(
        "S15 half an answer",
        on(GRANTS, faults.half),
        [GRANT] * 3,
        reason="AMP broke off the connection",
        pauses=BACKOFF,
    ),
    Row(
        "S15 the collector resets before the body is read",
        before_body(COLLECTOR, faults.reset),
        [GRANT, *[EXPORT] * 3],
        reason="AMP's collector broke off the connection",
        pauses=BACKOFF,
    ),
    Row(
        "S15 half an answer, then a whole one",
        on(GRANTS, faults.half, None),
        [GRANT, GRANT, EXPORT],
        SENT,
        pauses=[0.5],
    ),
    Row(
        "S16 connects and never answers",
        on(GRANTS, faults.silence),
        [GRANT] * 3,
        reason="AMP did not answer in time",
        pauses=BACKOFF,
        options=SLOW,
    ),
    Row(
        "S16 never answers, in all",
        on(GRANTS, faults.silence),
        [GRANT],
        reason=f"AMP did not answer in time; {UP}",
        seconds=2,
        options=SHORT,
        said=(f"stopped: {UP}", KEPT_ALL),
    ),
    Row(
        "S17 a byte of the header every 100 ms",
        on(GRANTS, faults.trickling_head),
        [GRANT] * 3,
        reason="AMP did not answer in time",
        pauses=BACKOFF,
        options={"request_timeout": 0.3},
    ),
    Row(
        "S17 a byte of the body every 100 ms",
        on(GRANTS, faults.trickling_body),
        [GRANT] * 3,
        reason="AMP did not answer in time",
        pauses=BACKOFF,
        options={"request_timeout": 0.3},
    ),
    Row(
        "S17 a byte of the header every 100 ms, in all",
        on(COLLECTOR, faults.trickling_head),
        [GRANT, EXPORT],
        reason=f"AMP's collector did not answer in time; {UP}",
        seconds=2,
        options=SHORT,
        said=(f"stopped: {UP}", KEPT_ALL),
    ),
    Row(
        "S17 a byte of the body every 100 ms, in all",
        on(COLLECTOR, faults.trickling_body),
        [GRANT, EXPORT],
        reason=f"AMP's collector did not answer in time; {UP}",
        seconds=2,
        options=SHORT,
        said=(f"stopped: {UP}", KEPT_ALL),
    ),
    *[
        Row(
            f"S18 {name} of {whom}",
            on(path, fault),
            requests,
            reason=f"{whom} gave an answer of more than 65,536 bytes{more}",
        )
        for path, whom, requests in ((GRANTS, "AMP", [GRANT]), (COLLECTOR, "AMP's collector", [GRANT, EXPORT]))
        for name, fault, more in (
            ("an endless answer", faults.endless, ""),
            ("1 GB", faults.gigabyte, ""),
            ("a gzip bomb", faults.BOMB, ", unpacked"),
        )
    ],
    Row(
        "S19 a certificate that nobody vouches for",
        lambda amp: None,
        [],
        reason="AMP showed a certificate that is not to be trusted",
        tls=True,
    ),
    Row(
        "S19 a certificate of another host",
        lambda amp: amp.url.replace("127.0.0.1", "localhost"),
        [],
        reason="AMP showed a certificate that is not to be trusted",
        tls=True,
        environ={"SSL_CERT_FILE": "{certificate}"},
    ),
    Row(
        "S19 a certificate that SSL_CERT_FILE vouches for",
        lambda amp: None,
        [GRANT, EXPORT],
        SENT,
        tls=True,
        environ={"SSL_CERT_FILE": "{certificate}"},
    ),
    Row(
        "S19 a server that speaks no TLS",
        lambda amp: amp.url.replace("http:", "https:"),
        [],
        reason="AMP does not speak TLS as it should",
    ),
    *[
        Row(
            f"S20 {number} of {whom}, and not followed",
            on(path, status(number, Location="http://127.0.0.1:9/")),
            requests,
            reason=f"{whom} answered HTTP {number}, and redirects are not followed",
        )
        for number in (301, 302, 303, 307, 308)
        for path, whom, requests in ((GRANTS, "AMP", [GRANT]), (COLLECTOR, "AMP's collector", [GRANT, EXPORT]))
    ],
    *[
        Row(f"S21 {number} of {whom}", on(path, status(number)), requests, REJECTED, f"{whom} answered HTTP {number}")
        for path, whom, requests, numbers in (
            (GRANTS, "AMP", [GRANT], (400, 422)),
            (COLLECTOR, "AMP's collector", [GRANT, EXPORT], (400, 404, 422)),
        )
        for number in numbers
    ],
    Row(
        "S21 400 for a batch",
        on("/batches", status(400)),
        [OPEN],
        REJECTED,
        "AMP answered HTTP 400",
        envelopes=BATCH,
    ),
    Row(
        "S21 422 for events marks the batch as failed",
        on("/events", status(422)),
        [OPEN, EVENTS, MARK],
        REJECTED,
        "AMP answered HTTP 422",
        envelopes=BATCH,
    ),
    Row(
        "S21 404 for grants, and no events for the older protocol",
        on(GRANTS, NO_GRANTS),
        [GRANT],
        REJECTED,
        "AMP knows no grants here, and there are no events for its older protocol",
    ),
    Row(
        "S22 401",
        on(GRANTS, status(401)),
        [GRANT],
        reason=REFUSED,
        envelopes=FIVE,
        left=5,
        said=(f"stopped: {REFUSED}", KEPT_FIVE),
        exit_code=3,
    ),
    Row(
        "S22 403",
        on(GRANTS, status(403)),
        [GRANT],
        reason=REFUSED.replace("401", "403"),
        envelopes=FIVE,
        left=5,
        said=(f"stopped: {REFUSED.replace('401', '403')}", KEPT_FIVE),
        exit_code=3,
    ),
    Row(
        "S22 401 for a batch",
        on("/batches", status(401)),
        [OPEN],
        reason=REFUSED,
        envelopes=BATCH,
        said=(f"stopped: {REFUSED}", KEPT_ALL),
        exit_code=3,
    ),
    Row(
        "S22 401 for events",
        on("/events", status(401)),
        [OPEN, EVENTS],
        reason=REFUSED,
        envelopes=BATCH,
        said=(f"stopped: {REFUSED}", KEPT_ALL),
        exit_code=3,
    ),
    *[
        Row(
            f"S23 {number} of {whom}",
            on(path, status(number)),
            requests,
            reason=f"{whom} answered HTTP {number}",
            pauses=BACKOFF,
        )
        for number in (408, 429, 500, 502, 503, 504)
        for path, whom, requests in (
            (GRANTS, "AMP", [GRANT] * 3),
            (COLLECTOR, "AMP's collector", [GRANT, *[EXPORT] * 3]),
        )
    ],
    Row("S23 503, then 200", on(GRANTS, status(503), None), [GRANT, GRANT, EXPORT], SENT, pauses=[0.5]),
    Row(
        "S23 503 for events marks the batch as failed",
        on("/events", status(503)),
        [OPEN, *[EVENTS] * 3, MARK],
        reason="AMP answered HTTP 503",
        pauses=BACKOFF,
        envelopes=BATCH,
    ),
    Row(
        "S23 503 for the end of a batch",
        on("/finalize", status(503)),
        [OPEN, EVENTS, *[FINALIZE] * 3, MARK],
        reason="AMP answered HTTP 503",
        pauses=BACKOFF,
        envelopes=BATCH,
    ),
    Row(
        "S23 no time for another try",
        on(GRANTS, status(503)),
        [GRANT],
        reason=f"AMP answered HTTP 503; {UP}",
        options=SHORT,
    ),
    *[
        Row(
            f"S24 Retry-After {text}",
            on(GRANTS, status(429, **{"Retry-After": text}), None),
            [GRANT, GRANT, EXPORT],
            SENT,
            pauses=[pause],
        )
        for text, pause in (
            ("2", 2.5),
            ("0.5", 1.0),
            ("0", 0.5),
            ("-5", 0.5),
            ("NaN", 0.5),
            ("inf", 0.5),
            ("soon", 0.5),
            ("1000000000", 10.0),
            ("9" * 400, 0.5),
            ("Fri, 31 Dec 2999 23:59:59 GMT", 10.0),
            ("Sun, 01 Feb 2026 00:00:00 GMT", 0.5),
            ("Fri, 99 Nov 99999 99:99:99 GMT", 0.5),
        )
    ],
    Row(
        "S25 413 for 200 spans",
        most_spans(60),
        [GRANT, *[EXPORT] * 3, EXPORT, *[EXPORT] * 3],
        SENT,
        envelopes=(envelope(spans=200),),
    ),
    Row(
        "S25 413 for one span of 100,000 bytes: cut",
        most_bytes(70_000),
        [GRANT, EXPORT, EXPORT],
        SENT,
        envelopes=(envelope(spans=1, test={"test.case.name": "test_it", "test.long": "x" * 100_000}),),
    ),
    Row(
        "S25 413 for whatever it is",
        on(COLLECTOR, status(413)),
        [GRANT, EXPORT, EXPORT],
        REJECTED,
        "AMP's collector answered HTTP 413",
    ),
    *[
        Row(f"S26 {name} for a grant", on(GRANTS, reply), [GRANT], reason=f"the answer of AMP {why}")
        for name, reply, why in (
            ("HTML", faults.HTML, "is not a JSON object"),
            ("nothing", Reply(), "is not a JSON object"),
            ("a list", json_reply([1]), "is not a JSON object"),
            ("deep JSON", Reply(content=b"[" * 60_000), "is not a JSON object"),
            ("not UTF-8", Reply(content=b'{"token": "\xff\xfe"}'), "is not a JSON object"),
            ("201", json_reply({}, 201), "was HTTP 201 instead of a grant"),
            ("204", Reply(204), "was HTTP 204 instead of a grant"),
            ("an empty object", json_reply({}), "is of another tier"),
        )
    ],
    Row(
        "S26 HTML of the collector",
        on(COLLECTOR, faults.HTML),
        [GRANT, EXPORT],
        reason="the answer of AMP's collector is not OTLP",
    ),
    Row(
        "S26 noise of the collector",
        on(COLLECTOR, Reply(content=b"\xff" * 40, content_type="application/x-protobuf")),
        [GRANT, EXPORT],
        reason="the answer of AMP's collector is not OTLP",
    ),
    Row(
        "S26 HTML for a batch",
        on("/batches", faults.HTML),
        [OPEN],
        reason="the answer of AMP is not a JSON object",
        envelopes=BATCH,
    ),
    Row(
        "S26 another batch",
        on("/batches", json_reply({"trace_id": uuid(7)}, 201)),
        [OPEN],
        reason="the answer of AMP is about another batch",
        envelopes=BATCH,
    ),
    *[
        Row(f"S27 {name}", granting(**changed), [GRANT], reason=f"the answer of AMP {why}")
        for name, changed, why in (
            ("http", {"collector_url": "http://collector.example/v1/traces"}, COLLECTOR_ELSEWHERE),
            ("user info", {"collector_url": "https://user@127.0.0.1/"}, COLLECTOR_ELSEWHERE),
            ("a line break", {"collector_url": "https://a\r\nX: y/"}, COLLECTOR_ELSEWHERE),
            ("no host", {"collector_url": "https:///v1"}, COLLECTOR_ELSEWHERE),
            ("a file", {"collector_url": "file:///etc/passwd"}, COLLECTOR_ELSEWHERE),
            ("a port of words", {"collector_url": "https://a:b/"}, COLLECTOR_ELSEWHERE),
            ("no collector", {"collector_url": ...}, COLLECTOR_ELSEWHERE),
            ("a list for a collector", {"collector_url": ["https://a/"]}, COLLECTOR_ELSEWHERE),
            ("the wrong execution", {"execution_uuid": uuid(9)}, "is for another execution"),
            ("no execution", {"execution_uuid": None}, "is for another execution"),
            ("the wrong tier", {"tier": "ephemeral"}, "is of another tier"),
            ("over", {"expires_at": "2020-01-01T00:00:00Z"}, "has expired by the clock of this machine"),
            ("no time zone", {"expires_at": "2999-01-01T00:00:00"}, "does not say how long it lasts"),
            ("a number for a time", {"expires_at": 4_000_000_000}, "does not say how long it lasts"),
            ("an empty token", {"token": ""}, "has no token"),
            ("a token of two lines", {"token": "a\r\nX-Evil: 1"}, "has no token"),
            ("a token in Chinese", {"token": "令牌"}, "has no token"),
            ("our own credential", {"token": "secret-canary"}, "has our own credential for a token"),
        )
    ],
    Row(
        "S28 the grant expires half-way",
        lambda amp: expiring(amp, 1),
        [GRANT, EXPORT, EXPORT, GRANT, EXPORT, EXPORT],
        SENT,
        envelopes=LARGE,
    ),
    Row(
        "S28 the grant is about to expire half-way",
        living(20),
        [GRANT, EXPORT, GRANT, EXPORT, EXPORT],
        SENT,
        envelopes=LARGE,
    ),
    Row(
        "S28 it expires again and again",
        lambda amp: expiring(amp, 9),
        [GRANT, EXPORT, EXPORT, GRANT, EXPORT, EXPORT],
        reason="AMP's collector refused the grant",
        envelopes=LARGE,
    ),
    Row(
        "S28 there is no other grant",
        lambda amp: expiring(amp, 1, status(503)),
        [GRANT, EXPORT, EXPORT, *[GRANT] * 3],
        reason="AMP answered HTTP 503",
        pauses=BACKOFF,
        envelopes=LARGE,
    ),
    Row("S29 partial success", on(COLLECTOR, partial(2)), [GRANT, EXPORT], PARTIAL, "AMP rejected 2 of its 3 spans"),
    Row("S29 a warning is no rejection", on(COLLECTOR, partial(0)), [GRANT, EXPORT], SENT),
    Row(
        "S29 more than there were",
        on(COLLECTOR, partial(10**9)),
        [GRANT, EXPORT],
        REJECTED,
        "AMP rejected 3 of its 3 spans",
    ),
    Row(
        "S29 in JSON",
        on(COLLECTOR, json_reply({"partialSuccess": {"rejectedSpans": "1"}})),
        [GRANT, EXPORT],
        PARTIAL,
        "AMP rejected 1 of its 3 spans",
    ),
    Row("S30 200 lost on the way", lost, [GRANT, EXPORT, EXPORT], SENT, pauses=[0.5]),
    Row(
        "S31 500 traces, and from the eleventh on no answer",
        on(GRANTS, *[None] * 10, faults.silence),
        [*[GRANT, EXPORT] * 10, GRANT],
        SENT,
        seconds=6,
        left=490,
        envelopes=tuple(map(envelope, range(500))),
        said=("stopped: the 3 s for publishing were up", KEPT_ALL.replace("1 trace", "490 traces")),
        exit_code=1,
        options={"total_timeout": 3},
    ),
    Row(
        "S32 three failures in a row",
        on(GRANTS, status(503)),
        [GRANT] * 9,
        reason="AMP answered HTTP 503",
        pauses=BACKOFF * 3,
        envelopes=FIVE,
        left=5,
        said=(f"stopped: {IN_A_ROW}", KEPT_FIVE),
        exit_code=1,
    ),
    Row(
        "S32 two failures, then none",
        on(GRANTS, *[status(503)] * 6, None),
        [*[GRANT] * 6, *[GRANT, EXPORT] * 3],
        reason="AMP answered HTTP 503",
        pauses=BACKOFF * 2,
        envelopes=FIVE,
        left=2,
        said=("2 traces not sent: AMP answered HTTP 503; kept, for: crewai-trace publish {place}",),
        exit_code=1,
    ),
    Row(
        "S33 what is set for OpenTelemetry has no say",
        lambda amp: None,
        [GRANT, EXPORT],
        SENT,
        environ={
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=canary",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
            "OTEL_SDK_DISABLED": "true",
        },
    ),
    Row(
        "S33 a proxy that is not there",
        lambda amp: None,
        [],
        reason="AMP refused the connection",
        pauses=BACKOFF,
        environ={"HTTP_PROXY": "http://127.0.0.1:9"},
    ),
    Row(
        "S33 a proxy that is not for this host",
        lambda amp: None,
        [GRANT, EXPORT],
        SENT,
        environ={"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"},
    ),
]


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return faults.certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_fault(row, tls, tmp_path, clock, monkeypatch, capsys):
    """S69, S73, and the number in the row's name."""
    run = tmp_path / "traces" / "run"
    run.mkdir(parents=True)
    for number, one in enumerate(row.envelopes):
        (run / f"test-{number:03}.failed.envelope.json").write_text(one.dump(), encoding="utf-8")
    for name, value in row.environ.items():
        monkeypatch.setenv(name, value.format(certificate=tls[1]))
    options = {"connections": 1, "timing": clock.timing, **row.options}
    seconds = options.pop("total_timeout", 30.0)

    with Amp(tls=tls[0] if row.tls else None) as amp:
        url = row.fault(amp) or amp.url
        monkeypatch.setenv("CREWAI_PLUS_URL", url)
        monkeypatch.setenv("CREWAI_USER_PAT", "secret-canary")
        began = time.monotonic()
        exit_code = publish([str(run.parent)], seconds=seconds, client=functools.partial(Client, **options))
        took = time.monotonic() - began

    assert amp.paths == row.requests
    assert clock.pauses == row.pauses
    assert took < row.seconds
    left = row.left if row.left is not None else int(row.state == FAILED)
    waiting = [item for item in outbox.find([run]) if item.waits]
    assert len(waiting) == left
    assert all(item.path.exists() for item in waiting)
    code, said = ENDS[row.state]
    assert exit_code == (code if row.exit_code is None else row.exit_code)
    page = f"{amp.url}/traces/{uuid(0)}" if row.state in {SENT, PARTIAL} else ""
    published = len(row.envelopes) - left if row.left is not None else int(row.state == SENT)
    first, *others = capsys.readouterr().out.splitlines()
    assert first == "  ".join(part for part in (f"{row.state:<8}", "test_it", page, row.reason) if part)
    assert others[len(row.envelopes) - 1 :] == [
        f"published {published} trace{'' if published == 1 else 's'} to CrewAI AMP ({url})",
        *(line.format(reason=row.reason, place=run.parent) for line in (said if row.said is None else row.said)),
    ]
    assert "secret" not in "\n".join((first, *others))
