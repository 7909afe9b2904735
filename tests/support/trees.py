"""A plugin that writes each rendered trace to the folder ``CREWAI_TREES``: ``pytest -p tests.support.trees``."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from pytest_crewai_trace import Trace


def pytest_crewai_trace_captured(item: pytest.Item, trace: Trace) -> None:
    """One file a test, so that xdist's processes do not meet."""
    folder = Path(os.environ["CREWAI_TREES"])
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha1(item.nodeid.encode()).hexdigest()
    document = {"nodeid": item.nodeid, "tree": trace.render()}
    (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
