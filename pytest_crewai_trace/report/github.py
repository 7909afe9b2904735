"""The summary of a GitHub Actions job: a table of the traced tests; what those that failed said, and their trees,
folded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.publish.links import web_address
from pytest_crewai_trace.report.terminal import costs, without_tree
from pytest_crewai_trace.store.attempt import BAD
from pytest_crewai_trace.trace.render import cut, printable
from pytest_crewai_trace.trace.usage import Usage

if TYPE_CHECKING:
    from pytest_crewai_trace.report.terminal import Counts

MOST_BYTES = 1_000_000  # GitHub shows no summary of over 1 MiB
_MOST_ROWS = 200
_MOST_LINES = 20  # of what a failure said
# Pages of tests, by test and attempt.
Links = Mapping[tuple[str, str], str]
_NONE: Links = MappingProxyType({})
_MARKDOWN = frozenset("\\`*_{}[]()#+-.!|~<>&@:\"'/$^=")


def write(path: Path, traced: list[Counts], reports: list[Any], links: Links = _NONE) -> str | None:
    """Add to the summary, which other steps may have begun; what went wrong, if something did."""
    if not traced:
        return None
    try:
        before = path.stat().st_size if path.exists() else 0
        with open(path, "a", encoding="utf-8", newline="\n") as file:
            file.write(summary(traced, reports, MOST_BYTES - before, links))
    except OSError as error:
        return f"the job summary could not be written: {error.strerror or error} ({path})"
    return None


def summary(traced: list[Counts], reports: list[Any], most_bytes: int = MOST_BYTES, links: Links = _NONE) -> str:
    """Markdown; whatever a model has said stands in it as text."""
    ranked = sorted(traced, key=lambda one: (one["outcome"] not in BAD, one["test"], one["attempt"]))
    head = "| | test | LLM calls | tokens | cost | seconds |\n| --- | --- | ---: | ---: | ---: | ---: |\n"
    if links:
        head = head.replace(" |\n", " | CrewAI AMP |\n", 1).replace(" ---: |\n", " ---: | --- |\n", 1)
    parts = [f"\n### crewAI traces\n\n{head}"]
    parts += [_row(one, links) for one in ranked[:_MOST_ROWS]]
    if len(ranked) > _MOST_ROWS:
        parts.append(f"\n{len(ranked) - _MOST_ROWS} more tests.\n")
    parts += [
        _folded(report.nodeid, [*_said(report), *report.crewai_trace_tree.split("\n")])
        for report in reports
        if _has_tree(report)
    ]
    kept, size = [], 200
    for part in parts:
        size += len(part.encode())
        if size > most_bytes:
            kept.append("\nThe rest does not fit.\n")
            break
        kept.append(part)
    return "".join(kept)


def _has_tree(report: Any) -> bool:
    return report.failed and hasattr(report, "crewai_trace_tree")


def _row(one: Counts, links: Links) -> str:
    usage = Usage(**one["usage"])
    tokens = f"{usage.total_tokens:,}" + ("" if usage.complete else "+")
    attempt = f" (attempt {one['attempt']})" if one["attempt"] != "1" else ""
    cells = (
        one["outcome"] or "interrupted",
        _text(one["test"]) + attempt,
        str(usage.requests),
        tokens if usage.requests else "",
        " ".join(costs([one["costs"]])) if usage.requests else "",
        f"{one['seconds']:.1f}",
    )
    page = (_link(links.get((one["test"], one["attempt"]))),) if links else ()
    return f"| {' | '.join((*cells, *page))} |\n"


def _link(url: str | None) -> str:
    shown = None if url is None else web_address(url)
    return "" if shown is None else f'<a href="{_inert(shown)}">trace</a>'


def _said(report: Any) -> list[str]:
    """What the failure said, and an empty line."""
    said = getattr(report, "crewai_trace_said", None)
    lines = [] if said is None else without_tree(said).split("\n")
    shown = [cut(line, 300) for line in lines[:_MOST_LINES]]
    return [*shown, *(["..."] if len(lines) > len(shown) else []), ""] if shown else []


def _folded(test: str, lines: list[str]) -> str:
    # Inside <pre>, with every line break written as one: Markdown takes no part in it.
    text = "&#10;".join(_inert(printable(line)) for line in lines)
    return f"\n<details><summary>{_inert(cut(printable(test), 300))}</summary><pre>{text}</pre></details>\n"


def _text(text: str) -> str:
    return "".join(f"&#{ord(c)};" if c in _MARKDOWN else c for c in cut(printable(text), 300))


def _inert(text: str) -> str:
    """Text in HTML, with nothing that GitHub makes a mention, a link or an emoji of."""
    return "".join(f"&#{ord(c)};" if c in "&<>\"'@:#`*_[]|~\\$" else c for c in text)
