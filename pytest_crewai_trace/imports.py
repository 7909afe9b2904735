"""Calls when a module is first imported; importing it ourselves would take seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import wrapt
from wrapt.importer import ImportHookFinder  # type: ignore[import-untyped]  # wrapt has stubs of its main names


def when_imported(module: str, call: Callable[[Any], object]) -> None:
    """Call with the module as soon as it has been imported, now if it has.

    wrapt enters what finds the imports in ``sys.meta_path`` once a process. A pytest inside pytest takes it out again
    when it ends, as all that came while it ran.
    """
    wrapt.register_post_import_hook(call, module)
    if not any(isinstance(finder, ImportHookFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, ImportHookFinder())
