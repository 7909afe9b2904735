"""S11: runs that raise, hang, are cancelled or interrupted. The trace is kept, what is open is shown as open."""

from __future__ import annotations

import sys

import pytest

from tests.support.crews import tree

OPEN = tree("""
    crew crew (open)
      task research (open)
        agent Researcher (open)
          llm gpt-4o-mini (open)
    """)


def test_s11_a_run_that_raises(crews):
    crews.tests("""
        def test_one(crewai_trace):
            with pytest.raises(ValueError):
                run(ValueError("broken"), repeat_last=True)
            assert crewai_trace.crews.one().status == "error"
            assert "ValueError: broken" in [str(error) for error in crewai_trace.errors]

        def run(*replies, **options):
            return one_agent_crew(ScriptedLLM(*replies, repeat_last=True)).kickoff(inputs={"topic": "AI"})

        def test_two(crewai_trace):
            run(final("done"))
            assert len(crewai_trace.roots) == 1
            assert not crewai_trace.errors
        """)

    crews.run().assert_outcomes(passed=2)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGALRM, which this method of pytest-timeout needs")
def test_s11_a_test_that_hangs_until_a_signal(crews):
    """The model lets the time run out itself, so that nobody has to wait for it."""
    pytest.importorskip("pytest_timeout")
    crews.tests("""
        import signal

        def hangs(messages):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)
            return final("too late")

        @pytest.mark.timeout(600, method="signal")
        def test_one(crewai_trace):
            run(hangs)

        def test_two(crewai_trace):
            run()
            assert crewai_trace.complete
        """)

    result = crews.run("-p", "pytest_timeout")

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["E *Failed: Timeout (>600.0s) from pytest-timeout."])
    assert [line.split()[0] for line in crews.trees["test_one"].splitlines()] == ["crew", "task", "agent", "llm"]
    assert crews.traces["test_one"].crews.one().status != "ok"
    assert "-- crewai trace --" in str(result.stdout)
    assert crews.traces["test_two"].crews.names == ["crew"]


def test_s11_a_test_that_hangs_until_the_process_is_ended(crews):
    """pytest-timeout's thread method ends the process at once; who was told of earlier traces has them."""
    pytest.importorskip("pytest_timeout")
    crews.write(
        "conftest.py",
        """
        from pathlib import Path

        def pytest_crewai_trace_captured(item, trace):
            Path(__file__).with_name(item.name).write_text(trace.render())
        """,
    )
    crews.tests("""
        def hangs(messages):
            threading.Event().wait()

        def test_one(crewai_trace): run()

        @pytest.mark.timeout(0.5, method="thread")
        def test_two(crewai_trace): run(hangs)
        """)

    result = crews.run_apart("-p", "pytest_timeout")

    assert result.ret != 0
    assert "Timeout" in str(result.stdout) + str(result.stderr)
    assert (crews.path / "test_one").read_text().startswith("crew crew\n")
    assert not (crews.path / "test_two").exists()


def test_s11_a_run_that_is_cancelled(crews, monkeypatch):
    """Its thread is still at work when the test ends: open, and what comes later is not the next test's."""
    from pytest_crewai_trace import session

    monkeypatch.setattr(session, "SETTLE", 0.05)  # nobody waits here for what does not come
    crews.tests("""
        go_on = threading.Event()
        done = threading.Event()

        def hangs(messages):
            loop.call_soon_threadsafe(asked.set)
            go_on.wait(60)
            done.set()
            return final("too late")

        async def main():
            global loop, asked
            loop, asked = asyncio.get_running_loop(), asyncio.Event()
            running = asyncio.create_task(asyncio.to_thread(run, hangs))
            await asked.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

        def test_one(crewai_trace):
            own = asyncio.new_event_loop()
            own.run_until_complete(main())
            assert crewai_trace.llm_calls.one().open

        def test_two(crewai_trace):
            go_on.set()
            assert done.wait(60)
            run(name="second")
            assert crewai_trace.crews.names == ["second"]
        """)

    crews.run().assert_outcomes(passed=2)

    assert crews.trees["test_one"] == OPEN
    assert crews.traces["test_two"].crews.names == ["second"]


ENDS = {
    "KeyboardInterrupt": ("raise KeyboardInterrupt", pytest.ExitCode.INTERRUPTED),
    "exit": ("pytest.exit('enough', returncode=7)", 7),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("where", ["in the test", "in the model", "in a fixture"])
def test_s11_a_session_that_is_ended(crews, how, where):
    ends, code = ENDS[how]
    crews.tests(f"""
        def stop(messages):
            {ends}

        @pytest.fixture
        def article():
            if {where == "in a fixture"}:
                run_to_the_end()

        def run_to_the_end():
            # A crew tries again where its model raises what it takes for an error.
            one_agent_crew(ScriptedLLM(stop, repeat_last=True)).kickoff(inputs={{"topic": "AI"}})

        def test_one(crewai_trace): run(name="one")

        def test_two(crewai_trace, article):
            if {where == "in the model"}:
                run_to_the_end()
            run(name="two")
            stop([])

        def test_three(crewai_trace): pass
        """)

    result = crews.run(no_reraise_ctrlc=True)

    assert result.ret == code
    assert "INTERNALERROR" not in str(result.stdout) + str(result.stderr)
    assert list(crews.traces) == ["test_one", "test_two"]
    assert crews.traces["test_one"].crews.names == ["one"]
    if where == "in the test":
        assert crews.traces["test_two"].crews.names == ["two"]
    else:
        assert crews.trees["test_two"].startswith("crew crew")
        assert "llm gpt-4o-mini" in crews.trees["test_two"]
        assert "done" not in crews.trees["test_two"]


def test_s11_a_hook_that_raises_when_the_session_is_ended_is_a_warning(crews):
    crews.write("conftest.py", "def pytest_crewai_trace_captured(): raise LookupError('mine')\n")
    crews.tests("def test_one(crewai_trace): pytest.exit('enough')")

    result = crews.run()

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "INTERNALERROR" not in str(result.stdout) + str(result.stderr)
    result.stdout.fnmatch_lines(["*PytestWarning: pytest_crewai_trace_captured raised LookupError: mine (in: *"])


def test_s11_a_system_exit(crews):
    crews.tests("""
        def leave(messages):
            sys.exit(3)

        def test_one(crewai_trace): run(leave)

        def test_two(crewai_trace): run()
        """)

    result = crews.run()

    result.assert_outcomes(failed=1, passed=1)
    assert crews.trees["test_one"].startswith("crew crew")
    assert crews.trees["test_two"].count("(open)") == 0


def test_s11_a_flow_that_waits_for_a_person(crews):
    """Suspended for human feedback: the flow is told of as it stands, and the next test is not disturbed."""
    crews.tests("""
        from crewai.flow.async_feedback import HumanFeedbackPending
        from crewai.flow.human_feedback import human_feedback

        class Later:
            def request_feedback(self, context, flow):
                raise HumanFeedbackPending(context=context)

        class Approval(Flow):
            @start()
            @human_feedback(message="Good?", provider=Later())
            def draft(self):
                return "a draft"

        def test_one(crewai_trace):
            Approval().kickoff()
            assert crewai_trace.flows.one().paused

        def test_two(crewai_trace):
            run()
            assert len(crewai_trace.roots) == 1
        """)

    crews.run().assert_outcomes(passed=2)

    assert crews.trees["test_one"].splitlines()[0] == "flow Approval (paused)"
