"""README and docs keep their word: their code blocks run, offline, and the options that they name exist.

A block whose first line is a comment with a file name (``# conftest.py``, ``# pyproject.toml``) becomes that file; the
other Python blocks of a document become one test module, in their order. ``<!-- not run: reason -->`` above a block
leaves it out.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?ms)(?P<skip><!-- not run: [^>]+ -->\n+)?^```(?P<language>\w+)\n(?P<code>.*?)^```$")
FILE_NAME = re.compile(r"# ([\w./-]+\.(?:py|toml|ini|yaml|json))\n")

of_each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=[path.relative_to(REPOSITORY).as_posix() for path in DOCUMENTS]
)


def files_of(document: Path) -> dict[str, str]:
    """The files that a reader of the document would have, by their name."""
    module = f"test_{document.stem.lower().replace('-', '_')}.py"
    files: dict[str, str] = {}
    for block in BLOCK.finditer(document.read_text("utf-8")):
        name = FILE_NAME.match(block["code"])
        if block["skip"] or not (name or block["language"] == "python"):
            continue
        file = name[1] if name else module
        files[file] = files.get(file, "") + block["code"] + "\n\n"
    return files


@of_each_document
def test_the_code_blocks_run(document: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_of(document)
    for name, text in files.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    code = "\n".join(files.values())
    tests = re.findall(r"^(?:async )?def (test_\w+)", code, re.MULTILINE)
    arguments = ["--crewai-trace", "-p", "no:randomly", "-p", "no:playwright"]
    if "== snapshot" in code:  # a reader would accept them first
        pytester.runpytest_subprocess(*arguments, "--snapshot-update")
    result = pytester.runpytest_subprocess(*arguments)
    assert len(tests) == len(set(tests)), "two blocks define a test of the same name"
    assert result.ret == (pytest.ExitCode.OK if tests else pytest.ExitCode.NO_TESTS_COLLECTED)


@of_each_document
def test_the_options_exist(document: Path, pytester: pytest.Pytester) -> None:
    named = set(re.findall(r"--crewai-[a-z-]+", document.read_text("utf-8")))
    known = set(re.findall(r"--crewai-[a-z-]+", pytester.runpytest("--help").stdout.str()))
    assert named <= known
