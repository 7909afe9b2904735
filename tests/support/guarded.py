"""Runs crewAI in every way that makes it call home, in a process of its own, and reports what left the process.

``python -c "from tests.support.guarded import main; main()" '{...}'``: ``-c``, because crewAI then loads the ``.env``
of the working directory, as it does in a project that holds its own virtual environment.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from pytest_crewai_trace.capture.guard import Guard
from tests.support.amp import Amp, refuse

LOOPBACK = ("127.0.0.1", "localhost", "::1")
contacted: set[str] = set()


def watch_network(event: str, args: tuple[Any, ...]) -> None:
    """Record and refuse every name look-up and connection that is not loopback."""
    host = None
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    if isinstance(host, bytes):
        host = host.decode()
    if host not in (None, "", *LOOPBACK):
        contacted.add(host)
        raise OSError(f"no network in this test: {host}")


class Renamed(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """A crewAI in which private names have other names: {module: {old: new}}."""

    def __init__(self, names: dict[str, dict[str, str]]) -> None:
        self.names = names
        self.paths: dict[str, str] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in self.names or name in self.paths:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.origin is None:
            return None
        self.paths[name] = spec.origin
        return importlib.util.spec_from_file_location(name, spec.origin, loader=self)

    def get_filename(self, name: str) -> str:
        return self.paths[name]

    def get_data(self, path: str) -> bytes:
        text = Path(path).read_text(encoding="utf-8")
        module = next(name for name, origin in self.paths.items() if origin == path)
        for old, new in self.names[module].items():
            text = text.replace(old, new)
        return text.encode()

    def path_stats(self, path: str) -> Any:
        raise OSError  # no byte code cache: it would be crewAI's


def crew_in_child(_: int) -> Any:
    """What a spawned process runs; its own telemetry is off, so that the control need not wait for it."""
    sys.addaudithook(watch_network)
    os.environ["CREWAI_DISABLE_TELEMETRY"] = "true"
    return Situations().crew()


class Situations:
    """The ways of running crewAI; each is one method."""

    def __init__(self) -> None:
        from crewai import Agent, Crew, Task
        from crewai.flow.flow import Flow, start

        from tests.support.llm import ScriptedLLM, final

        def crew(**options: Any) -> Any:
            agent = Agent(role="Writer", goal="g", backstory="b", llm=ScriptedLLM(final("done"), repeat_last=True))
            return Crew(agents=[agent], tasks=[Task(description="d", expected_output="e", agent=agent)], **options)

        class Greeting(Flow):  # type: ignore[type-arg]
            @start()
            def hello(self) -> str:
                return "hello"

        self.make_crew, self.make_flow, self.agent_class, self.llm = crew, Greeting, Agent, ScriptedLLM
        self.final = final

    def crew(self) -> Any:
        return self.make_crew(tracing=True).kickoff().raw

    def crew_by_environment(self) -> Any:
        return self.make_crew(verbose=True).kickoff().raw

    def flow(self) -> Any:
        return self.make_flow(tracing=True).kickoff()

    def flow_by_environment(self) -> Any:
        return self.make_flow().kickoff()

    def agent(self) -> Any:
        return self.agent_class(role="A", goal="g", backstory="b", llm=self.llm(self.final("done"))).kickoff("hi").raw

    def llm_call(self) -> Any:
        return self.llm("hello").call("hi")

    def thread(self) -> Any:
        result: list[Any] = []
        thread = threading.Thread(target=lambda: result.append(self.crew()))
        thread.start()
        thread.join()
        return result[0]

    def executor(self) -> Any:
        with ThreadPoolExecutor(2) as pool:
            return [future.result() for future in [pool.submit(self.crew), pool.submit(self.flow_by_environment)]]

    def process(self) -> Any:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(crew_in_child, 1).result()

    def asyncio(self) -> Any:
        async def run() -> Any:
            outputs = await asyncio.gather(
                self.make_crew(tracing=True).akickoff(),
                self.make_crew().kickoff_async(),
                self.make_flow().kickoff_async(),
            )
            return [getattr(output, "raw", output) for output in outputs]

        return asyncio.run(run())

    def raising(self) -> Any:
        crew = self.make_crew(tracing=True)
        crew.agents[0].llm = self.llm(ValueError("broken model"), repeat_last=True)
        try:
            crew.kickoff()
        except ValueError as error:
            return str(error)

    def own_request(self) -> Any:
        """A request of the user's own to AMP, which has nothing to do with tracing."""
        try:
            from crewai_core.plus_api import PlusAPI
        except ImportError:
            from crewai.cli.plus_api import PlusAPI
        return PlusAPI(api_key="mine").get_organizations().status_code

    def tracing_request(self) -> Any:
        """A tracing request that none of crewAI's own switches can stop any more."""
        try:
            from crewai_core.plus_api import PlusAPI
        except ImportError:
            from crewai.cli.plus_api import PlusAPI
        payload: Any = {"trace_id": "1", "execution_type": "crew"}
        return PlusAPI(api_key="mine").initialize_trace_batch(payload).status_code


def settle() -> None:
    """Wait for what crewAI left behind in threads, and make its telemetry send what it has."""
    from crewai.events.event_bus import crewai_event_bus

    crewai_event_bus.flush(timeout=30)


def owners() -> dict[str, Any]:
    """Every attribute that the guard may replace, as it is now."""
    from pytest_crewai_trace.capture.guard import BLOCKS

    found = {}
    for target in (target for block in BLOCKS for target in block.targets):
        module, _, path = target.partition(":")
        owner: Any = sys.modules.get(module)
        *parents, name = path.split(".")
        for part in parents:
            owner = getattr(owner, part, None)
        if owner is not None:
            found[target] = id(vars(owner).get(name))
    return found


def storage_report(guard: Guard | None, folder: Path) -> dict[str, Any]:
    """Two tests in a row that use one crew, one flow of a module, the knowledge store and a consent file."""
    from crewai.flow.flow import Flow, start
    from crewai.flow.persistence import persist
    from crewai.flow.persistence.sqlite import SQLiteFlowPersistence
    from crewai.memory.storage.lancedb_storage import LanceDBStorage
    from crewai.rag.config.utils import get_rag_config
    from pydantic import BaseModel

    class State(BaseModel):
        id: str = "fixed"
        count: int = 0

    @persist()
    class Counting(Flow[State]):
        @start()
        def add(self) -> int:
            self.state.count += 1
            return self.state.count

    situations = Situations()
    report: dict[str, Any] = {"tests": []}
    for name in ("first", "second"):
        with guard.files.use(str(folder / name)) if guard is not None else nullcontext():
            made_before = (folder / name).exists()
            situations.crew()
            result = Counting().kickoff(inputs={"id": "fixed"})
            again = SQLiteFlowPersistence().load_state("fixed")
            saved = {key: os.environ.pop(key) for key in list(os.environ) if "STORAGE_DIR" in key}
            situations.crew()  # a test that has emptied the environment
            os.environ.update(saved)
            report["tests"].append(
                {
                    "count": result,
                    "reloaded": (again or {}).get("count"),
                    "knowledge": get_rag_config().settings.persist_directory,
                    "memory": str(LanceDBStorage()._path),
                    "lazy": not made_before,
                    "files": sorted(p.relative_to(folder / name).as_posix() for p in (folder / name).rglob("*.db")),
                }
            )
    return report


def main() -> None:
    config = json.loads(sys.argv[1])
    if not config.get("network"):
        sys.addaudithook(watch_network)
    if config.get("renamed"):
        sys.meta_path.insert(0, Renamed(config["renamed"]))
    warnings: list[str] = []
    guard = Guard(warnings.append) if config["guard"] else None
    report: dict[str, Any] = {"requests": {}, "hosts": {}, "errors": {}, "results": {}}
    with Amp() as amp, ExitStack() as stack:
        if config.get("amp") == "down":
            with Amp() as gone:
                os.environ["CREWAI_PLUS_URL"] = gone.url
        else:
            os.environ["CREWAI_PLUS_URL"] = amp.url
            amp.override = refuse(config["status"]) if config.get("status") else None
        if config.get("import_first"):
            import crewai  # noqa: F401

            Situations().crew  # noqa: B018
            report["handlers_before"] = crewai_signals()
        environment, attributes = dict(os.environ), owners()
        if guard is not None:
            guard.start()
            stack.callback(guard.stop)
            if config.get("storage"):
                stack.enter_context(guard.files.use(str(Path(config["storage"]) / "session")))
        situations = Situations()
        for name in config["situations"]:
            before = len(amp.requests)
            contacted.clear()
            run: Callable[[], Any] = getattr(situations, name)
            try:
                report["results"][name] = run()
            except Exception as error:
                report["errors"][name] = f"{type(error).__name__}: {error}"
            settle()
            new = amp.requests[before:]
            report["requests"][name] = [f"{r.method} {r.path}" for r in new]
            report["hosts"][name] = sorted(contacted)
        if config.get("storage"):
            report["storage"] = storage_report(guard, Path(config["storage"]))
        contacted.clear()
        report["handlers"] = crewai_signals()
        from crewai.telemetry.telemetry import Telemetry

        before = len(amp.requests)
        Telemetry()._shutdown()
        report["hosts"]["exit"] = sorted(contacted)
        report["requests"]["exit"] = [f"{r.method} {r.path}" for r in amp.requests[before:]]
        stack.close()
        report["handlers_after"] = crewai_signals()
        now = owners()
        report["changed"] = [target for target, value in attributes.items() if now[target] != value]
        ours = ("CREWAI_", "PYTEST_CREWAI", "OTEL")
        report["environment"] = {
            key: [environment.get(key), os.environ.get(key)]
            for key in {*environment, *os.environ}
            if key.startswith(ours) and environment.get(key) != os.environ.get(key)
        }
    report["warnings"] = warnings
    report["blocked"] = dict(guard.blocked) if guard is not None else {}
    Path(config["report"]).write_text(json.dumps(report))
    sys.stdout.flush()
    os._exit(0)  # crewAI's exit handlers wait for servers that are not there


def crewai_signals() -> list[Any]:
    """The signals that crewAI has taken over."""
    taken = []
    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)
        if getattr(handler, "__module__", "").startswith("crewai"):
            taken.append(number.name)
    return taken
