"""Values of any kind, with secrets in them, through everything that shows, stores or exports a trace."""

from __future__ import annotations

import base64
import decimal
import gzip
import io
import itertools
import json
import re
import tempfile
import unicodedata
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pytest_crewai_trace.capture.plain import plain
from pytest_crewai_trace.report.chrome import trace_events
from pytest_crewai_trace.report.github import summary
from pytest_crewai_trace.report.junit import JunitTrees
from pytest_crewai_trace.report.otlp import resource_spans
from pytest_crewai_trace.report.terminal import count, line_of, tree_of
from pytest_crewai_trace.snapshot.options import LEVELS, Options
from pytest_crewai_trace.snapshot.reading import Reading
from pytest_crewai_trace.snapshot.render import tree_text
from pytest_crewai_trace.snapshot.text import Snapshot
from pytest_crewai_trace.store.attempt import Attempt
from pytest_crewai_trace.store.clean import Cleaning
from pytest_crewai_trace.trace.redact import Redactor, known_secrets
from pytest_crewai_trace.trace.trace import Trace
from tests.support import hostile
from tests.support.events import Event, Source, built, recorder, take
from tests.support.viewer import Folder, content

CANARY = "CANARY0123456789abcdef"
KNOWN = "correct horse battery staple"
# In two pieces, so that no scanner takes them for real.
KEYS = ["sk-" + f"proj-{CANARY}", "ghp_" + CANARY, "sk-" + f"ant-{CANARY}", "github_pat_" + CANARY, KNOWN]

hostile_text = st.sampled_from(
    [
        *(
            "\x1b[31m",
            "\x1b]8;;http://e/\x07x",
            "\x9b2J",
            "a\rb",
            "\b\b",
            "\u202e",
            "\u200b",
            "\x85",
            "\u2028",
            "\ud800",
            "\0",
        ),
        *("[bold]x[/bold]", "[/]", "::error::x", "\n::set-output::x", "</script><script>alert(1)</script>", "<!--"),
        *(
            "<img src=x onerror=alert(1)>",
            "javascript:alert(1)",
            "| a | b |",
            "![x](http://e/x)",
            "@here",
            "```",
            "]]>",
        ),
        *("&amp;", "&#10;", "\\", '"', "'", "\n", "| ", "...", "variant 2", "tool x", "(41) tool x", "%s{}", "\ufffe"),
    ]
)
texts = st.text(max_size=20) | hostile_text | st.lists(hostile_text | st.text(max_size=5), max_size=4).map("".join)


def in_json(text: str) -> str:
    return json.dumps({"inner": text})


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode()


def in_gzip(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), mtime=0)).decode()


@st.composite
def secret_texts(draw: st.DrawFn) -> str:
    """A key between other text, as it is or packed."""
    key = draw(st.sampled_from(KEYS))
    packed = draw(texts) + " " + key + draw(st.sampled_from(["", " ", "\n", '"', "'", ",", "<", "."])) + draw(texts)
    for pack in draw(st.lists(st.sampled_from([in_json, in_json, in_base64, in_gzip]), max_size=2)):
        packed = pack(packed)
    return draw(texts) + " " + packed + " " + draw(texts)


class Slotted:
    __slots__ = ("a",)


# Made where they are needed: hypothesis itself could not touch them.
ODD = {
    "everything": hostile.Everything,
    "exception": hostile.Empty,
    "dataclass": hostile.OddDataclass,
    "no dataclass": hostile.NoDataclass,
    "dict": lambda: hostile.subclass(dict)(a=1),
    "list": lambda: hostile.subclass(list)([1]),
    "slots": Slotted,
    "number": lambda: decimal.Decimal("sNaN"),
    "class": lambda: Slotted,
    "module": lambda: io,
    "large": lambda: 10**400,
}


@dataclass(frozen=True)
class Odd:
    """Stands for one of them."""

    name: str


@dataclass(frozen=True)
class Output:
    """What a task gave, as crewAI's own class has it."""

    raw: Any
    json_dict: Any
    pydantic: Any = None
    output_format: str = "raw"


def alive(value: Any) -> Any:
    """The value with its odd objects in it."""
    if isinstance(value, Output):
        return Output(alive(value.raw), alive(value.json_dict))
    if isinstance(value, Odd):
        return ODD[value.name]()
    if isinstance(value, dict):
        return {key: alive(item) for key, item in value.items()}
    return type(value)(map(alive, value)) if isinstance(value, list | tuple | deque) else value


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.binary(max_size=10) | st.datetimes()
)
said = texts | secret_texts()
values = st.recursive(
    scalars | st.sampled_from([*ODD]).map(Odd) | said,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(said, inner, max_size=3)
        | st.lists(inner, max_size=2).map(tuple)
        | st.lists(inner, max_size=2).map(deque)
        | said.map(ValueError)
    ),
    max_leaves=6,
)
_INVISIBLE = {"Cc", "Cs", "Zl", "Zp"}
_BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


ASKED = {"model": said | values, "messages": values, "tools": values}
ANSWERED = {"response": values, "usage": values}
# Type of the start, of the end and of the failed end, the fields of both, those of the start.
RUN = (
    ("crew_kickoff_started", "crew_kickoff_completed", "crew_kickoff_failed", {"crew_name": said}, {"inputs": values}),
    ("task_started", "task_completed", "task_failed", {"task_name": said}, {}),
    ("agent_execution_started", "agent_execution_completed", "agent_execution_error", {"agent_role": said}, {}),
    ("llm_call_started", "llm_call_completed", "llm_call_failed", {"call_id": st.just("1")}, ASKED),
    ("tool_usage_started", "tool_usage_finished", "tool_usage_error", {"tool_name": said}, {"tool_args": values}),
)


@st.composite
def recorded(draw: st.DrawFn) -> Trace:
    """The trace of a crew whose every name, input and output is any text or value."""
    record, source = recorder(), Source()
    sequence = itertools.count()

    def emit(type: str, event_id: str, fields: dict[str, Any], **more: Any) -> None:
        told = {name: alive(draw(strategy)) for name, strategy in fields.items()}
        take(record, Event(type, event_id=event_id, **more, **told), next(sequence), source)

    def end(kind: int) -> None:
        _, done, failed, both, _ = RUN[kind]
        reply = {"llm": ANSWERED, "task": {"output": st.builds(Output, values, values)}}.get(
            done.partition("_")[0], {"output": values}
        )
        if draw(st.booleans()):
            done, reply = failed, {"error": values}
        emit(done, f"end {kind}", {**both, **reply}, started_event_id=f"{kind}")

    for kind, (begin, _, _, both, asked) in enumerate(RUN):
        emit(begin, f"{kind}", {**both, **asked}, parent_event_id=None if kind == 0 else f"{min(kind - 1, 2)}")
        if kind >= 3:
            end(kind)
    for kind in (2, 1, 0):
        end(kind)
    assert record.error is None
    return built(record)


def is_seen(character: str) -> bool:
    """Whether a terminal shows a character where it stands; Python's versions differ on the newest letters."""
    return unicodedata.category(character) not in _INVISIBLE and unicodedata.bidirectional(character) not in _BIDI


def holds_no_secret(*shown: str) -> None:
    for text in shown:
        assert CANARY not in text
        assert KNOWN not in text


@given(recorded())
def test_no_secret_is_shown_and_what_is_shown_is_inert(made):
    """S51, S53, S55, S56, S63, S64: in the terminal, JUnit XML, the job summary."""
    clean = Cleaning().trace(made)

    tree = tree_of(clean)
    holds_no_secret(tree, clean.render(), repr(clean))
    assert all(line.isprintable() and not line.startswith("::") for line in tree.split("\n"))
    console = Console(file=io.StringIO(), markup=False, emoji=False, highlight=False, soft_wrap=True)
    console.print(tree)
    element = ElementTree.Element("testcase")
    reporter = SimpleNamespace(append=element.append)
    log = type("LogXML", (), {"node_reporter": lambda self, report: reporter})()
    report = SimpleNamespace(crewai_trace_tree=tree, failed=True, when="call", nodeid="test_it.py::test_one")
    JunitTrees(SimpleNamespace(get_plugins=lambda: [log]))._write(report)
    assert ElementTree.fromstring(ElementTree.tostring(element)).findtext("system-out") is not None

    counts = {**count(clean, "test_it.py::test_one", "1"), "outcome": "failed"}
    assert line_of(counts).isprintable()
    markdown = summary([counts], [report])
    holds_no_secret(markdown)
    assert not re.search(r"<(?!/?(?:details|summary|pre)>)", markdown.replace("<details><summary>", ""))
    assert not any(line.startswith("::") for line in markdown.splitlines())


@given(recorded())
def test_no_secret_is_stored_or_exported(made):
    """S63, S64: and what is stored is what was cleaned."""
    cleaning = Cleaning()
    document = cleaning.json_of(made)
    clean = Trace.from_json(document)

    holds_no_secret(document.decode(), json.dumps(json.loads(document), ensure_ascii=False))
    assert Trace.from_json(clean.to_json()) == clean
    assert json.loads(cleaning.json_of(clean)) == json.loads(document), "cleaning what is clean changes nothing"
    attempt = Attempt(test_id="test_it.py::test_one", outcome="failed")
    otlp = json.dumps(resource_spans(attempt, clean), allow_nan=False)
    chrome = json.dumps(list(trace_events(1, attempt, clean)), allow_nan=False)
    holds_no_secret(otlp, chrome)


@given(recorded(), said)
def test_no_secret_is_in_the_viewer(made, message):
    """S54, S63: nothing of it is markup, and its parts are whole."""
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(Path(place) / "traces")
        kept = folder.keep("test_it.py::test_one", "failed", made)
        page = folder.view(Path(place) / "page.html")
        text, parts = page.read_text("utf-8"), content(page)
        holds_no_secret(kept.read_text("utf-8"))

    holds_no_secret(json.dumps(parts), json.dumps(parts, ensure_ascii=False))
    assert len(parts["trace-0"]["spans"]) == len(made.all_spans)
    assert "alert(1)" not in text
    assert text.count("</script>") == len(parts) + 1


@given(recorded())
def test_no_secret_is_in_a_snapshot_and_it_is_read_back(made):
    """S51, S63: at each level the text is printable, of its own form, and the same the next time."""
    for level in LEVELS:
        redactor = Redactor((), known_secrets({"FUZZ_API_KEY": KNOWN}))
        text = tree_text(made, Options.of(level=level), redactor)
        holds_no_secret(text)
        assert tree_text(made, Options.of(level=level), redactor) == text
        assert all(map(is_seen, text.replace("\n", "")))
        read = Snapshot.read(Snapshot(level, (text, text)).write())
        assert read.variants == (text, text)
        lines: list[str] = []
        stack = Reading().trees(read)[0][::-1]
        while stack:
            entry = stack.pop()
            lines += entry.lines()
            stack += entry.children[::-1]
        assert "\n".join([*lines, ""]) == text


@given(values)
def test_redaction_ends_and_does_so_once(value):
    """S63 - S65: what it leaves holds no secret, and a second time changes nothing."""
    redactor = Redactor((), {KNOWN: "FUZZ_API_KEY"})
    clean = redactor.value(plain(value))

    holds_no_secret(json.dumps(clean, ensure_ascii=False), json.dumps(clean))
    assert redactor.value(clean) == clean
