"""S10: threads, pools, processes and event loops that outlive a test. Each event in the right trace, none in two."""

from __future__ import annotations

import pytest

from tests.support.crews import tree

ONE_CREW = tree(r"""
    crew NAME
      task research
        agent Researcher
          llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: done'
    """)
LOOP = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=session")


def expect(crews, **names):
    """Each test's trace holds exactly its own crew."""
    assert crews.trees == {f"test_{test}": ONE_CREW.replace("NAME", name) for test, name in names.items()}


@pytest.mark.parametrize("way", ["akickoff", "kickoff_async"])
def test_s10_an_event_loop_of_the_session(crews, way):
    """Its context is the first test's for ever."""
    pytest.importorskip("pytest_asyncio")
    crews.tests(f"""
        pytestmark = pytest.mark.asyncio(loop_scope="session")

        async def arun(name):
            return await crew(name=name).{way}(inputs={{"topic": "AI"}})

        async def test_one(crewai_trace): await arun("one")

        async def test_two(crewai_trace): await arun("two")

        def test_three(crewai_trace): run(name="three")

        async def test_four(crewai_trace): await arun("four")
        """)

    crews.run(*LOOP).assert_outcomes(passed=4)

    expect(crews, one="one", two="two", three="three", four="four")


def test_s10_a_run_that_raised_leaves_nothing_to_the_next_in_the_same_loop(crews):
    """The scopes that the exception left open stay on crewAI's stack, in the context of the loop."""
    pytest.importorskip("pytest_asyncio")
    crews.tests("""
        from crewai.events.event_context import get_current_parent_id
        from crewai.events.types.llm_events import LLMCallStartedEvent
        from crewai.events import crewai_event_bus

        pytestmark = pytest.mark.asyncio(loop_scope="session")

        class Leaves(Flow):
            @start()
            async def leave(self):
                raise KeyError("left")

        async def test_one(crewai_trace):
            with pytest.raises(KeyError):
                await Leaves().kickoff_async()
            # What no end event ever closes, as an LLM call whose rest a test has mocked.
            crewai_event_bus.emit(None, LLMCallStartedEvent(messages="hi", call_id="left open", model="m"))

        async def test_two(crewai_trace):
            await crew(name="two").akickoff(inputs={"topic": "AI"})

        async def test_three(crewai_trace):
            await crew(name="three").kickoff_async(inputs={"topic": "AI"})
        """)

    crews.run(*LOOP).assert_outcomes(passed=3)

    assert crews.trees.pop("test_one").splitlines()[0] == "flow Leaves !! KeyError: 'left'"
    assert {name: rendered for name, rendered in crews.trees.items() if name != "test_one"} == {
        f"test_{name}": ONE_CREW.replace("NAME", name) for name in ("two", "three")
    }


def test_s10_a_task_of_the_loop_that_goes_on_in_the_next_test(crews, monkeypatch):
    pytest.importorskip("pytest_asyncio")
    from pytest_crewai_trace import session

    monkeypatch.setattr(session, "SETTLE", 0.05)
    crews.tests("""
        pytestmark = pytest.mark.asyncio(loop_scope="session")
        running = []
        asked, go_on = threading.Event(), threading.Event()

        def waits(messages):
            asked.set()
            assert go_on.wait(60)
            return final("done")

        async def test_one(crewai_trace):
            running.append(asyncio.create_task(asyncio.to_thread(run, waits, name="one")))
            assert await asyncio.to_thread(asked.wait, 60)

        async def test_two(crewai_trace):
            go_on.set()
            await running[0]
            await crew(name="two").akickoff(inputs={"topic": "AI"})
        """)

    crews.run(*LOOP).assert_outcomes(passed=2)

    assert crews.trees["test_two"] == ONE_CREW.replace("NAME", "two")
    assert crews.trees["test_one"].splitlines()[0] == "crew one (open)"


def test_s10_a_thread_that_goes_on_in_the_next_test(crews, monkeypatch):
    """A raw thread, with none of the test's context: what it began belongs to the test that began it."""
    from pytest_crewai_trace import session

    monkeypatch.setattr(session, "SETTLE", 0.05)
    crews.tests("""
        asked, go_on = threading.Event(), threading.Event()

        def waits(messages):
            asked.set()
            assert go_on.wait(60)
            return final("done")

        thread = threading.Thread(target=run, args=(waits,), kwargs={"name": "one"})

        def test_one(crewai_trace):
            thread.start()
            assert asked.wait(60)

        def test_two(crewai_trace):
            go_on.set()
            thread.join()
            run(name="two")

        def test_three(crewai_trace): run(name="three")
        """)

    crews.run().assert_outcomes(passed=3)

    assert crews.trees["test_one"].splitlines()[0] == "crew one (open)"
    assert crews.trees["test_two"] == ONE_CREW.replace("NAME", "two")
    assert crews.trees["test_three"] == ONE_CREW.replace("NAME", "three")


def test_s10_a_thread_is_waited_for(crews):
    """It was started in the test and not joined; the end of the test waits until its crew has ended."""
    crews.write(
        "conftest.py",
        """
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_call(item):
            yield
            item.module.test_is_over.set()
        """,
    )
    crews.tests("""
        import time

        asked, test_is_over = threading.Event(), threading.Event()

        def slow(messages):
            asked.set()
            assert test_is_over.wait(60)
            time.sleep(0.5)  # longer than a teardown that does not wait
            return final("done")

        def test_one(crewai_trace):
            threading.Thread(target=run, args=(slow,), kwargs={"name": "one"}).start()
            assert asked.wait(60)
        """)

    crews.run().assert_outcomes(passed=1)

    expect(crews, one="one")


def test_s10_a_scope_that_a_test_left_open_is_no_parent_in_the_next(crews):
    """Memories may be saved when a run is over, so an open one above them says whose they are."""
    crews.tests("""
        from crewai.events import crewai_event_bus
        from crewai.events.types.llm_events import LLMCallStartedEvent
        from tests.support.memory import make_memory

        def test_one(crewai_trace):
            # What no end event ever closes, as an LLM call whose rest a test has mocked.
            crewai_event_bus.emit(None, LLMCallStartedEvent(messages="hi", call_id="left open", model="m"))

        def test_two(crewai_trace, tmp_path):
            make_memory(tmp_path).remember("AI is growing")
        """)

    crews.run().assert_outcomes(passed=2)

    assert crews.trees["test_one"] == "llm m (open)"
    assert [root.kind for root in crews.traces["test_two"].roots] == ["memory"]


def test_s10_a_pool_that_outlives_the_test(crews):
    """Its threads were made by the first test and keep what it left in their contexts."""
    crews.tests("""
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(1)

        def test_one(crewai_trace): pool.submit(run, name="one").result()

        def test_two(crewai_trace): pool.submit(run, name="two").result()

        def test_three(): pool.submit(run, name="nobody's").result()

        def test_four(crewai_trace):
            pool.submit(run, name="four").result()
            pool.shutdown()
        """)

    crews.run().assert_outcomes(passed=4)

    expect(crews, one="one", two="two", four="four")


def test_s10_tests_that_are_not_traced_lie_between(crews):
    crews.tests("""
        def test_one(crewai_trace): run(name="one")

        def test_two(): run(name="two")

        @pytest.mark.crewai_trace(enabled=False)
        def test_three(): run(name="three")

        def test_four(crewai_trace): run(name="four")
        """)

    crews.run().assert_outcomes(passed=4)

    expect(crews, one="one", four="four")


def test_s10_what_runs_between_the_tests_is_nobodys(crews):
    """At import, in fixtures of the session before the first test that asks, after the last."""
    crews.write(
        "conftest.py",
        """
        def pytest_sessionfinish():
            from tests.support.llm import ScriptedLLM
            ScriptedLLM("after").call("x")
        """,
    )
    crews.tests("""
        run(name="import")

        def test_one(crewai_trace): run(name="one")
        """)

    result = crews.run()

    result.assert_outcomes(passed=1)
    expect(crews, one="one")


POOL = """
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        def test_one(crewai_trace):
            with ProcessPoolExecutor(1, mp_context=get_context({method!r})) as pool:
                assert pool.submit(os.getpid).result() != os.getpid()
                assert pool.submit({work}).result()
            run(name="one")

        def test_two(crewai_trace): run(name="two")
"""


@pytest.mark.skipif("fork" not in __import__("multiprocessing").get_all_start_methods(), reason="no fork here")
def test_s10_a_crew_in_a_forked_process(crews):
    """Its events stay in the child: the trace says that it is incomplete, not that nothing ran."""
    crews.tests(
        POOL.format(method="fork", work="call")
        + """
        def call():
            return ScriptedLLM("hi").call("hello")
"""
    )

    crews.run("-W", "ignore::DeprecationWarning").assert_outcomes(passed=2)

    assert crews.traces["test_one"].incomplete == (
        "crewAI ran in a forked child process, whose events do not come back",
    )
    assert crews.traces["test_two"].complete


def test_s10_a_process_that_runs_no_crew_is_no_doubt(crews):
    crews.tests(POOL.format(method="spawn", work="os.getppid"))

    crews.run().assert_outcomes(passed=2)

    expect(crews, one="one", two="two")
