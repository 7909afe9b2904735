"""S07: an error of ours. The user's run goes on; that its trace is incomplete is said, and never an internal error."""

from __future__ import annotations

import pytest

from pytest_crewai_trace.capture.storage import Folders

BREAKS = """
@pytest.fixture
def broken(monkeypatch):
    from pytest_crewai_trace.capture.recorder import Recorder
    from pytest_crewai_trace.capture import spans

    class Break:
        def once(self, number):
            "The recorder raises at the event of this number."
            calls, take = [], Recorder._read
            def raise_once(recorder, *args, **kwargs):
                calls.append(1)
                if len(calls) == number:
                    raise ZeroDivisionError("our mistake")
                return take(recorder, *args, **kwargs)
            monkeypatch.setattr(Recorder, "_read", raise_once)

        def tree(self):
            "Building the trace raises."
            def raises(*args):
                raise ZeroDivisionError("our mistake")
            monkeypatch.setattr(spans, "trace_of", raises)

    return Break()
"""
SAID = "recording failed: ZeroDivisionError: our mistake"


@pytest.fixture
def breaking(crews):
    crews.write("conftest.py", "import pytest\n" + BREAKS)
    return crews


def check(result, **outcomes):
    result.assert_outcomes(**outcomes)
    assert "INTERNALERROR" not in str(result.stdout) + str(result.stderr)


@pytest.mark.parametrize("number", [1, 2, 5, 8])
def test_s07_the_run_goes_on_and_the_test_fails_with_the_reason(breaking, number):
    breaking.tests(f"""
        def test_one(broken):
            broken.once({number})
            assert run().raw == "done"

        def test_two(): run()
        """)

    result = breaking.run("--crewai-trace")

    check(result, failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            f"E *TraceIncompleteError: the trace of this test is incomplete: {SAID}. This is an error of *",
            f"incomplete: {SAID}",
        ]
    )
    assert breaking.traces["test_one"].incomplete == (SAID,)
    assert breaking.traces["test_two"].complete


def test_s07_no_question_is_answered(breaking):
    breaking.tests("""
        def test_one(broken, crewai_trace):
            broken.once(3)
            run()
            assert not crewai_trace.complete
            assert crewai_trace.tool_calls == []
        """)

    result = breaking.run()

    check(result, failed=1)
    result.stdout.fnmatch_lines([f"E *TraceIncompleteError: the trace is incomplete: {SAID}"])


def test_s07_a_test_that_fails_by_itself_keeps_its_own_failure(breaking):
    breaking.tests("""
        def test_one(broken):
            broken.once(1)
            run()
            assert False, "the user's"
        """)

    result = breaking.run("--crewai-trace")

    check(result, failed=1)
    result.stdout.fnmatch_lines(["E *AssertionError: the user's", f"incomplete: {SAID}"])


def test_s07_a_recorder_that_breaks_in_a_fixture(breaking):
    breaking.tests("""
        @pytest.fixture
        def before(broken):
            broken.once(1)
            run()

        @pytest.fixture
        def after(broken):
            yield
            broken.once(1)
            run()

        def test_setup(before): pass

        def test_teardown(after): pass
        """)

    result = breaking.run("--crewai-trace")

    check(result, failed=1, passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_teardown*", f"E *TraceIncompleteError: *{SAID}*"])
    result.stdout.fnmatch_lines(["*___ test_setup ___*", f"E *TraceIncompleteError: *{SAID}*"])


@pytest.mark.parametrize("asks", ["", "crewai_trace"])
def test_s07_a_trace_that_cannot_be_built(breaking, asks):
    breaking.tests(f"""
        def test_one(monkeypatch, broken{asks and ", " + asks}):
            assert run().raw == "done"
            broken.tree()
            {asks and "assert not crewai_trace.complete"}

        def test_two(): run()
        """)
    breaking.write("conftest.py", "import pytest\n" + BREAKS.replace("monkeypatch.setattr(spans,", "setattr(spans,"))

    with pytest.MonkeyPatch.context() as patch:
        from pytest_crewai_trace.capture import spans

        patch.setattr(spans, "trace_of", spans.trace_of)
        result = breaking.run("--crewai-trace", "-k", "test_one")

    check(result, **({"failed": 1} if asks else {"passed": 1, "errors": 1}))
    result.stdout.fnmatch_lines([f"E *TraceIncompleteError: *{SAID}*"])
    assert breaking.traces["test_one"].incomplete == (SAID,)


def test_s07_a_report_that_cannot_be_made(breaking):
    breaking.tests("""
        def test_one(monkeypatch):
            from pytest_crewai_trace.report import terminal

            def raises(*args):
                raise ZeroDivisionError("our mistake")

            run()
            monkeypatch.setattr(terminal, "failure_section", raises)
            assert False
        """)

    result = breaking.run("--crewai-trace")

    check(result, failed=1)
    result.stdout.fnmatch_lines(["the trace could not be shown: ZeroDivisionError: our mistake"])


def test_s07_a_guard_that_raises_is_no_internal_error(crews):
    """crewAI's storage could not be moved away: an error of the test, in its setup."""
    crews.tests("def test_one(): run()")

    class Breaks:
        def pytest_sessionstart(self):
            self.begin, Folders.begin = Folders.begin, None

        def pytest_sessionfinish(self):
            Folders.begin = self.begin

    result = crews.run("--crewai-trace", plugins=(Breaks(),))

    check(result, errors=1)
