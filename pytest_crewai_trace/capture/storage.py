"""Gives each test a folder of its own for what crewAI writes: databases, memory, knowledge, the consent file."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VARIABLE = "CREWAI_STORAGE_DIR"
OURS = "PYTEST_CREWAI_TRACE_STORAGE_DIR"  # the value of VARIABLE that is ours, so that a child process knows it too

# Paths that crewAI computes once, when it is imported: module, constant, what follows the folder.
CONSTANTS = (
    ("crewai.rag.chromadb.constants", "DEFAULT_STORAGE_PATH", ""),
    ("crewai.rag.chromadb.config", "DEFAULT_STORAGE_PATH", ""),
    ("crewai.rag.qdrant.constants", "DEFAULT_STORAGE_PATH", "qdrant"),
    ("crewai.rag.qdrant.config", "DEFAULT_STORAGE_PATH", "qdrant"),
)


class Storage:
    """Where crewAI writes now."""

    def __init__(self) -> None:
        self._folders: list[str] = []  # those in use, the innermost last
        self._left: set[str] = set()
        self._lock = threading.RLock()

    @contextmanager
    def use(self, path: str) -> Iterator[None]:
        """crewAI's storage is ``path`` inside; crewAI creates it when it needs it. May be nested.

        A CREWAI_STORAGE_DIR that the user has set stays, whether it comes from the environment, from ``.env`` or from
        a fixture; one that a test sets inside wins until the test takes it back. What a module builds when it is
        imported keeps the folder of that time, except the database of ``@persist``.
        """
        before, ours = os.environ.get(VARIABLE), os.environ.get(OURS)
        if before is not None and before != ours:
            yield
            return
        os.environ[VARIABLE] = os.environ[OURS] = path
        self._folders.append(path)
        constants = _loaded_constants()
        _point_constants(path)
        try:
            yield
        finally:
            self._folders.remove(path)
            self._left.add(path)
            restore_variable(VARIABLE, before, path)
            restore_variable(OURS, ours, path)
            if self._folders:
                _point_constants(self._folders[-1])
            for (module, name), value in constants.items():
                setattr(sys.modules[module], name, value)
            _forget_knowledge_client(path)

    def directory_name(self, original: Callable[[], str]) -> Callable[[], str]:
        """``get_project_directory_name`` for a test that has emptied the environment."""

        @functools.wraps(original)
        def get_project_directory_name() -> str:
            return os.environ.get(VARIABLE) or (self._folders[-1] if self._folders else original())

        return get_project_directory_name

    def flow_database(self) -> property:
        """``SQLiteFlowPersistence.db_path``: ``@persist`` computes it when the flow's module is imported."""
        made: set[str] = set()

        def get(persistence: Any) -> str:
            stored = str(persistence.__dict__["db_path"])
            folder = str(Path(stored).parent)
            # A test's own object stays where it was made, even if a later test uses it.
            is_own = "db_path" in persistence.model_fields_set or folder in self._left
            if is_own or not self._folders or folder == self._folders[-1]:
                return stored
            path = Path(self._folders[-1], Path(stored).name)
            with self._lock:
                if str(path) not in made:
                    made.add(str(path))
                    path.parent.mkdir(parents=True, exist_ok=True)
                    persistence.init_db()
            return str(path)

        return property(get, lambda persistence, value: persistence.__dict__.update(db_path=value))


class Folders:
    """A folder for each test of a session, and one for what is built outside of tests: a crew of a module."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._root = ""
        self._count = 0
        self._session, self._test = ExitStack(), ExitStack()
        self._path: str | None = None  # of the running test, and on from a test that wrote nothing to the next

    def start(self) -> None:
        self._root = os.path.abspath(tempfile.mkdtemp(prefix="crewai-trace-"))
        self._use(self._session)

    def stop(self) -> None:
        self.leave()
        self._session.close()
        shutil.rmtree(self._root, ignore_errors=True)

    def begin(self) -> None:
        """Give the test that begins a folder that nobody has written to."""
        if self._path is None or os.environ.get(VARIABLE) != self._path or os.path.exists(self._path):
            self.leave()
            self._path = self._use(self._test)

    def end(self, *, unused: bool) -> None:
        """The test has ended; ``unused``: crewAI did nothing in it, so that its folder can be the next one's."""
        if not unused or self._path is None or os.path.exists(self._path):
            self.leave()

    def leave(self) -> None:
        """Back to the folder of the session."""
        self._test.close()
        self._path = None

    def _use(self, until: ExitStack) -> str:
        self._count += 1
        path = os.path.join(self._root, str(self._count))
        until.enter_context(self._storage.use(path))
        return path


def restore_variable(name: str, before: str | None, ours: str) -> None:
    """Put an environment variable back, unless somebody else has changed it meanwhile."""
    if os.environ.get(name) == ours:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _loaded_constants() -> dict[tuple[str, str], Any]:
    return {
        (module, name): getattr(sys.modules[module], name)
        for module, name, _ in CONSTANTS
        if hasattr(sys.modules.get(module), name)
    }


def _point_constants(folder: str) -> None:
    for module, name, rest in CONSTANTS:
        if hasattr(loaded := sys.modules.get(module), name):
            setattr(loaded, name, os.path.join(folder, rest) if rest else folder)


def _forget_knowledge_client(folder: str) -> None:
    """crewAI keeps its default knowledge client, with the folder that it was made for; a user's own client stays."""
    variable = getattr(sys.modules.get("crewai.rag.config.utils"), "_rag_context", None)
    config = getattr(variable.get(), "config", None) if variable is not None else None
    chroma, qdrant = getattr(config, "settings", None), getattr(config, "options", None)
    path = getattr(chroma, "persist_directory", None) or (qdrant or {}).get("path")
    if variable is not None and path in (folder, os.path.join(folder, "qdrant")):
        variable.set(None)
