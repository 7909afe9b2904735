"""The errors that users meet, and the words in them."""

from __future__ import annotations

import pytest

from pytest_crewai_trace import errors
from pytest_crewai_trace.errors import (
    CrewaiTraceError,
    HookError,
    SpanLookupError,
    TraceDocumentError,
    TraceIncompleteError,
    did_you_mean,
    hide_from_traceback,
    unknown_choice,
)


@pytest.mark.parametrize(
    ("error", "also"),
    [
        (SpanLookupError, LookupError),
        (TraceIncompleteError, AssertionError),
        (HookError, Exception),
        (TraceDocumentError, ValueError),
    ],
)
def test_each_error_is_ours_and_what_python_calls_it(error, also):
    """S77: what is missing from a trace fails a test as an assertion does."""
    assert issubclass(error, CrewaiTraceError)
    assert issubclass(error, also)
    assert not issubclass(CrewaiTraceError, AssertionError)
    assert str(error("why")) == "why"
    assert error.__doc__


def test_every_error_is_one_of_ours():
    found = [thing for thing in vars(errors).values() if isinstance(thing, type) and issubclass(thing, Exception)]

    assert len(found) >= 5
    assert all(issubclass(error, CrewaiTraceError) for error in found)


@pytest.mark.parametrize(
    ("name", "choices", "hint"),
    [
        ("serach", ["fetch", "search"], " did you mean 'search'?"),
        ("SEARCH", ["Search"], " did you mean 'Search'?"),
        ("straße", ["STRASSE"], " did you mean 'STRASSE'?"),
        ("zzz", ["search"], ""),
        ("search", [], ""),
        ("", ["search"], ""),
        ("serach", iter(["search"]), " did you mean 'search'?"),
        ("serach", ["search\x1b"], " did you mean 'search\\x1b'?"),
    ],
)
def test_the_nearest_is_named(name, choices, hint):
    assert did_you_mean(name, choices) == hint


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("fialed", "unknown status 'fialed'; did you mean 'failed'? valid: ok, failed"),
        ("x", "unknown status 'x'; valid: ok, failed"),
        (5, "unknown status 5; valid: ok, failed"),
        (None, "unknown status None; valid: ok, failed"),
        ("\x1b[31m", "unknown status '\\x1b[31m'; valid: ok, failed"),
    ],
)
def test_a_wrong_input_is_told_with_the_valid_ones(given, says):
    assert unknown_choice("status", given, iter(["ok", "failed"])) == says


def test_only_errors_that_we_raise_on_purpose_hide_our_frames():
    with pytest.raises(SpanLookupError) as ours:
        raise SpanLookupError("none")
    with pytest.raises(ZeroDivisionError) as bug:
        raise ZeroDivisionError

    assert hide_from_traceback(ours)
    assert not hide_from_traceback(bug)


def test_a_failed_look_up_shows_the_users_line_and_not_ours(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # one imports numpy, which cannot be imported twice
    pytester.makepyfile(
        """
        from pytest_crewai_trace import Trace

        def test_look_up():
            Trace().tools
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")

    result.stdout.fnmatch_lines(["*Trace().tools*", "E *TraceIncompleteError: the trace is empty: *"])
    result.stdout.no_fnmatch_line("*trace/query.py:*")
    result.stdout.no_fnmatch_line("*def _scope*")
