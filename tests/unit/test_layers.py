"""The way of the data goes one way: which part may import which, read from the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_crewai_trace

PACKAGE = Path(pytest_crewai_trace.__file__).parent
PARTS = [path.stem for path in sorted(PACKAGE.iterdir()) if path.suffix == ".py" or (path / "__init__.py").exists()]
# The plain modules beside the folders: they may be used from everywhere.
COMMON = {"errors", "files", "imports", "installed", "settings"}
# What each part may import of the others, besides itself and what is common.
MAY_IMPORT = {
    "trace": set(),
    "capture": {"trace"},
    "replay": {"trace", "marks", "redaction"},
    "expectations": {"trace", "live", "marks", "redaction", "session"},
    "snapshot": {"trace", "redaction"},
    "store": {"trace"},
    "report": {"trace", "store", "snapshot", "publish", "keeping"},
    "publish": {"trace", "store", "capture"},
    "cli": {"trace", "store", "report", "snapshot", "publish", "capture"},
}
# What only these parts may import of other projects.
ONLY_IN = {
    "crewai": {"replay", "publish"},  # capture waits until somebody imports it
    "crewai_core": {"publish"},
    "httpx": {"cli", "publish", "replay"},
    "jinja2": {"report"},
    "opentelemetry": {"publish"},
    "rich": {"cli"},
    "syrupy": {"snapshot"},
    "vcr": {"replay"},
    "wrapt": {"imports"},
    "genai_prices": {"trace"},
}


def imported(part: Path) -> Iterator[tuple[Path, str]]:
    """Every module that is imported in a part, with the file that does."""
    for path in sorted(part.rglob("*.py")) if part.is_dir() else [part.with_suffix(".py")]:
        for found in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(found, ast.Import):
                yield from ((path, name.name) for name in found.names)
            elif isinstance(found, ast.ImportFrom):
                assert found.level == 0, f"{path}: a relative import"
                assert found.module is not None
                yield path, found.module


def test_every_folder_has_its_place():
    assert {part for part in PARTS if (PACKAGE / part).is_dir()} == MAY_IMPORT.keys()


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_one_way(part):
    allowed = {part, *COMMON, *MAY_IMPORT[part]}
    for path, module in imported(PACKAGE / part):
        first, _, rest = module.partition(".")
        if first == PACKAGE.name and rest:
            assert rest.split(".")[0] in allowed, f"{path} imports {module}"


@pytest.mark.parametrize("part", PARTS)
def test_other_projects_where_they_belong(part):
    for path, module in imported(PACKAGE / part):
        project = module.split(".")[0]
        assert project != "_pytest", f"{path} imports {module}"
        assert part in ONLY_IN.get(project, {part}), f"{path} imports {module}"
        if part == "trace" and project not in sys.stdlib_module_names:
            assert project in {PACKAGE.name, "pydantic", "pydantic_core", "genai_prices"}, f"{path} imports {module}"
