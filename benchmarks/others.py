"""Peers that get an environment of their own, as they change what crewAI is installed with or slow everything down.

``nox -s bench`` makes it and says where in ``CREWAI_TRACE_PEERS``: the path of its Python.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent
_PEERS = "CREWAI_TRACE_PEERS"


def peers_python() -> Path | None:
    """The Python of that environment, if there is one."""
    path = os.environ.get(_PEERS)
    return Path(path) if path and Path(path).exists() else None
