"""What the report of a failed test shows of its trace."""

from __future__ import annotations

import re

import pytest

from tests.plugin.terminal import TITLE, trace_sections
from tests.support.crews import tree


def section(result, number=0):
    sections = trace_sections(result)
    return sections[number] if sections else None


def test_the_tree_with_a_mark_where_it_failed(crews):
    crews.tests("""
        from crewai.tools import tool

        @tool("fetch")
        def fetch(url: str) -> str:
            "Fetch a page."
            raise TimeoutError("too slow")

        def test_one():
            failing = react("fetch", url="a.b")
            run(failing, final("gave up"), tools=[fetch], max_iter=3)
            assert False, "no page"
        """)

    result = crews.run("--crewai-trace")

    marked = [line for line in section(result).splitlines() if line.startswith(">")]
    assert section(result).startswith("  crew crew  [T s]\n    task research  [T s]\n      agent Researcher  [T s]\n")
    assert "          llm" not in section(result)
    assert marked
    assert set(marked) == {">       tool fetch(url='a.b') !! TimeoutError: too slow  [T s]"}


def test_nothing_is_marked_where_nothing_of_crewai_failed(crews):
    crews.tests("""
        def test_one():
            run(name="crew one")
            assert False
        """)

    assert section(crews.run("--crewai-trace")) == tree(r"""
          crew crew one  [T s]
            task research  [T s]
              agent Researcher  [T s]
                llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: done'  [T s, 15 tokens]
        """).replace("\n", "\n  ").replace("crew crew", "  crew crew", 1)


def test_a_crew_that_raised(crews):
    crews.tests("""
        def test_one(): run(ValueError("broken model"), repeat_last=True)

        def run(*replies, **options):
            llm = ScriptedLLM(*replies, repeat_last=True)
            return one_agent_crew(llm).kickoff(inputs={"topic": "AI"})
        """)

    result = crews.run("--crewai-trace")

    marked = [line for line in section(result).splitlines() if line.startswith(">")]
    assert marked
    assert {line.split("  [")[0].strip("> ") for line in marked} == {"llm gpt-4o-mini !! ValueError: broken model"}


def test_a_passed_test_has_none(crews):
    crews.tests("""
        def test_one(): run()

        @pytest.mark.xfail
        def test_two():
            run()
            assert False
        """)

    result = crews.run("--crewai-trace", "-rA")

    assert section(result) is None
    assert TITLE not in str(result.stdout)


def test_nothing_of_crewai_ran(crews):
    crews.tests("def test_one(crewai_trace): assert False")

    assert section(crews.run("--crewai-trace")) is None


def test_not_traced(crews):
    crews.tests("""
        def test_one():
            run()
            assert False
        """)

    assert section(crews.run()) is None


def test_a_setup_that_failed(crews):
    crews.tests("""
        @pytest.fixture
        def article():
            run(name="setup")
            raise RuntimeError("no article")

        def test_one(article): pass
        """)

    result = crews.run("--crewai-trace")

    result.assert_outcomes(errors=1)
    assert section(result).startswith("  crew setup  [T s]\n    task research")


def test_a_teardown_that_failed(crews):
    crews.tests("""
        @pytest.fixture
        def article():
            yield
            run(name="teardown")
            raise RuntimeError("no article")

        def test_one(article): run(name="call")
        """)

    result = crews.run("--crewai-trace")

    result.assert_outcomes(passed=1, errors=1)
    assert [line for line in section(result).splitlines() if "crew " in line] == [
        "  crew call  [T s]",
        "  crew teardown  [T s]",
    ]


def test_each_attempt_shows_its_own(crews):
    pytest.importorskip("pytest_rerunfailures")
    crews.tests("""
        attempts = []

        def test_one():
            attempts.append(1)
            run(name=f"attempt {len(attempts)}")
            assert False
        """)

    result = crews.run("--crewai-trace", "-p", "pytest_rerunfailures", "--reruns", "1", "-rR")

    assert section(result).splitlines()[0] == "  crew attempt 2  [T s]"
    assert "attempt 1" not in str(result.stdout)


def test_a_long_trace_is_cut_around_what_failed(crews):
    crews.tests("""
        class Story(Flow):
            @start()
            def tell(self):
                replies = [f"sentence {number}" for number in range(500)]
                replies[250] = ValueError("lost the thread")
                llm = ScriptedLLM(*replies)
                for number in range(500):
                    try:
                        llm.call("go on")
                    except ValueError:
                        pass

        def test_one():
            Story().kickoff()
            assert False
        """)

    result = crews.run("--crewai-trace")

    lines = section(result).splitlines()
    assert len(crews.traces["test_one"].spans) == 502
    assert len(lines) <= 45
    assert lines[:2] == ["  flow Story  [T s]", "    method tell  [T s]"]
    (marked,) = (line for line in lines if line.startswith(">"))
    assert marked.startswith(">     llm gpt-4o-mini !! ValueError: lost the thread")
    around = lines.index(marked)
    assert "'sentence 249'" in lines[around - 1]
    assert "'sentence 251'" in lines[around + 1]
    skipped = [int(found[1]) for line in lines if (found := re.match(r"  \.\.\. (\d+) more$", line))]
    assert sum(skipped) + len(lines) - len(skipped) == 502


HOSTILE = {
    "escape": "\x1b[2J\x1b]0;title\x07",
    "c1": "\x9b31m",
    "bell and backspace": "\x07\x08\x7f",
    "carriage return": "fine\rFAKE PASSED",
    "newline": "fine\n= 1 passed =",
    "bidi": "\u202egnp.exe\u2066",
    "zero width": "pass\u200bword\ufeff",
    "surrogate": "\ud800",
    "nul": "\x00",
}


def test_s51_s58_hostile_output_is_shown_escaped(crews):
    """In answers, arguments, results, names, errors."""
    crews.tests(f"""
        from crewai.tools import tool

        HOSTILE = {list(HOSTILE.values())!a}

        @tool("shout")
        def shout(text: str) -> str:
            "Shout."
            raise ValueError(text)

        @pytest.mark.parametrize("number", range(len(HOSTILE)))
        def test_one(number):
            text = HOSTILE[number]
            run(react("shout", text=text), final(text), name=f"crew {{text}}", tools=[shout], max_iter=2)
            assert False
        """)

    result = crews.run("--crewai-trace")

    result.assert_outcomes(failed=len(HOSTILE))
    for number, hostile in enumerate(HOSTILE.values()):
        shown = section(result, number)
        assert shown.startswith("  crew crew")
        assert all(line.isprintable() for line in shown.splitlines())
        assert hostile not in shown
