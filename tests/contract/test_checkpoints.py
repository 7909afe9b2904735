"""What the trace shows of runs that are saved, restored and forked."""

from __future__ import annotations

import pytest
from crewai import Crew
from crewai.events import crewai_event_bus
from crewai.flow.flow import Flow, listen, start
from crewai.flow.flow_config import flow_config
from crewai.tasks.conditional_task import ConditionalTask

from tests.support.crews import agent, task, tree
from tests.support.openai import Answer, Failure, OpenAIServer
from tests.support.versions import before

if before("1.14.7"):
    pytest.skip("crewAI has checkpoints since 1.14", allow_module_level=True)

from crewai.state.checkpoint_config import CheckpointConfig

broken = False


def written(output=None):
    """Wait for the checkpoint: a thread of crewAI's writes it, and trips when something else is emitted meanwhile."""
    crewai_event_bus.flush()
    return True


class Yes:
    def request_input(self, message, flow, metadata=None):
        return "yes"


class Steps(Flow):
    @start()
    def one(self):
        self.state["n"] = 1
        return "one"

    @listen(one)
    def two(self, value):
        self.ask("Go on?")  # and here the checkpoint is written
        written()
        if broken:
            raise RuntimeError("crash")
        return "two"


@pytest.fixture(autouse=True)
def _yes(monkeypatch):
    """A provider of the flow's own would have to be written into the checkpoint."""
    monkeypatch.setattr(flow_config, "input_provider", Yes())


@pytest.fixture(autouse=True)
def _crewais_own_record():
    """crewAI keeps every flow and crew that ran or was restored, and writes all of them into the next checkpoint."""
    crewai_event_bus.reset_runtime_state()
    yield
    crewai_event_bus.reset_runtime_state()


@pytest.fixture
def crashed(monkeypatch, tmp_path):
    """The checkpoint of a run that crashed in its second method."""
    monkeypatch.setattr(f"{__name__}.broken", True)
    with pytest.raises(RuntimeError, match="crash"):
        Steps(checkpoint=CheckpointConfig(location=str(tmp_path), on_events=["flow_input_received"])).kickoff()
    monkeypatch.setattr(f"{__name__}.broken", False)
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    return CheckpointConfig(location=str(tmp_path), restore_from=str(file))


def test_a_checkpoint_is_a_span_event(crewai_trace, tmp_path):
    Steps(checkpoint=CheckpointConfig(location=str(tmp_path), on_events=["flow_input_received"])).kickoff()

    assert crewai_trace.render() == tree("""
        flow Steps
          method one -> 'one'
          method two -> 'two'
            human_feedback input two -> 'yes'
        """)
    names = {event.name for span in crewai_trace.spans for event in span.events}
    assert {"checkpoint_started", "checkpoint_completed"} <= names


def test_a_flow_that_is_restored(crewai_trace, crashed):
    """The methods that had finished before are replayed by crewAI: they are not run, nor shown, again."""
    Steps().kickoff(from_checkpoint=crashed)

    assert crewai_trace.render() == tree("""
        flow Steps !! RuntimeError: crash
          method one -> 'one'
          method two !! RuntimeError: crash
            human_feedback input two -> 'yes'
        flow Steps
          method two -> 'two'
            human_feedback input two -> 'yes'
        """)


def test_a_flow_that_is_forked(crewai_trace, crashed):
    Steps.fork(crashed, branch="other").kickoff()

    assert crewai_trace.render() == tree("""
        flow Steps !! RuntimeError: crash
          method one -> 'one'
          method two !! RuntimeError: crash
            human_feedback input two -> 'yes'
        flow Steps
          method two -> 'two'
            human_feedback input two -> 'yes'
        """)
    assert "checkpoint_fork_completed" in {event.name for event in crewai_trace.events}


@pytest.fixture
def model(monkeypatch):
    """OpenAI on loopback: a restored crew has a model of its own, made from the name."""
    with OpenAIServer([Answer("first"), Failure(400, "no more"), Answer("second")]) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "loopback")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server


def test_a_crew_that_is_restored(crewai_trace, model, tmp_path):
    """It goes on with the task that had failed, as a run of its own."""
    writer = agent("Writer", "openai/gpt-4o-mini", max_retry_limit=0)
    review = task("Review", writer, ConditionalTask, name="review", condition=written)
    tasks = [task("Write", writer, name="write"), review]
    checkpoint = CheckpointConfig(location=str(tmp_path), on_events=["task_completed"])
    with pytest.raises(Exception, match="no more"):
        Crew(name="texts", agents=[writer], tasks=tasks, checkpoint=checkpoint).kickoff()
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())

    Crew.from_checkpoint(CheckpointConfig(location=str(tmp_path), restore_from=str(file))).kickoff()

    assert crewai_trace.crews.names == ["texts", "texts"]
    assert crewai_trace.tasks.names == ["write", "review", "review"]
    assert [crew.status for crew in crewai_trace.crews] == ["error", "ok"]
    assert crewai_trace.crews.last.render() == tree("""
        crew texts
          task review
            agent Writer
              llm gpt-4o-mini -> 'second'
        """)
