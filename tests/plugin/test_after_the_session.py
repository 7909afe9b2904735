"""S38: when pytest is done, so are we: nothing of ours runs, waits or is wired in any more."""

from __future__ import annotations

import sys

import pytest

from tests.plugin.conftest import ROOT

# Runs pytest, then crewAI once more without it, then the interpreter's end; writes down what of ours any of that calls.
WATCH = """
import atexit, gc, os, signal, sys, threading

OURS = os.path.join(r"%s", "pytest_crewai_trace")
late = os.open("late", os.O_WRONLY | os.O_CREAT)

def tell(what):
    os.write(late, f"{what}\\n".encode())

def is_ours(code):
    return code.co_filename.startswith(OURS)

def watch(frame, event, argument, is_ours=is_ours, tell=tell):
    if event == "call" and is_ours(frame.f_code):
        tell(f"called {frame.f_code.co_name}")

def registered_by_us(register):
    def wrapped(function, *arguments, **named):
        if is_ours(sys._getframe(1).f_code):
            tell(f"registered at exit: {function}")
        return register(function, *arguments, **named)
    return wrapped

atexit.register = registered_by_us(atexit.register)
handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
threads, callbacks, finders = set(threading.enumerate()), list(gc.callbacks), list(sys.meta_path)

import pytest
assert pytest.main(sys.argv[1:]) == 0

for number, handler in handlers.items():
    if signal.getsignal(number) is not handler:
        tell(f"signal {number}: {signal.getsignal(number)}")
for thread in set(threading.enumerate()) - threads:
    if is_ours(getattr(getattr(thread, "_target", None), "__code__", watch.__code__)):
        tell(f"thread {thread}")
for where, now, before in (("gc", gc.callbacks, callbacks), ("import", sys.meta_path, finders)):
    for each in now:
        if each not in before and type(each).__module__.startswith("pytest_crewai_trace"):
            tell(f"{where}: {each}")
if hasattr(signal, "getitimer") and any(signal.getitimer(signal.ITIMER_REAL)):
    tell("a timer runs")
threading.setprofile(watch)
sys.setprofile(watch)
from test_it import late_run
late_run()
print("ran late")
"""


@pytest.fixture
def watched(crews, monkeypatch):
    """A project that uses what there is to be left behind."""
    monkeypatch.chdir(crews.path)
    crews.write("watch.py", WATCH % ROOT)
    crews.tests("""
        from crewai.memory.unified_memory import Memory

        def late_run():
            return run(name="late")

        def test_crew(crewai_trace):
            run()
            assert crewai_trace.crews.names == ["crew"]

        def test_thread():
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()

        def test_scripted(crewai_llm, crewai_faults):
            crewai_faults.llm().rate_limit(times=1)
            crewai_llm.reply(final("done"))
            one_agent_crew("openai/gpt-4o-mini", crew={"memory": False}).kickoff(inputs={"topic": "AI"})

        @pytest.mark.crewai_budget(llm_calls=2)
        def test_budget(): run()
        """)
    return crews


def test_s38_nothing_of_ours_is_left(watched):
    arguments = ["--crewai-trace", "--crewai-trace-keep=all", "--crewai-trace-html=report.html", "--junitxml=junit.xml"]

    result = watched.pytester.run(
        sys.executable, "watch.py", "-p", "pytest_crewai_trace.plugin", "-p", "no:cacheprovider", *arguments
    )

    assert result.ret == 0
    result.stdout.fnmatch_lines(["*4 passed*", "*ran late*"])
    # A hook on an import cannot be taken back: modules that crewAI imports only now have us called, and we return.
    told = set((watched.path / "late").read_text().splitlines())
    assert told <= {"called _place", "called _report_gone", "called _release_signals", "called _hook"}
