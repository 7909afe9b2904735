"""When a test's cassette begins and ends, where it lies, and whether the test got along with it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_crewai_trace import session as tracing
from pytest_crewai_trace.errors import NetworkBlockedError, UnusedReplyError, hide_from_traceback
from pytest_crewai_trace.marks import CASSETTE, CassetteMark, cassette_mark
from pytest_crewai_trace.redaction import redactor_of
from pytest_crewai_trace.replay.cassette import CassetteFileError, Loaded, load, save
from pytest_crewai_trace.replay.matching import Index, InOrder, Volatile
from pytest_crewai_trace.replay.mismatch import Explanation, shown, unused
from pytest_crewai_trace.replay.player import playing
from pytest_crewai_trace.replay.session import block_of, first_of, without_libraries, without_price_list
from pytest_crewai_trace.replay.tape import Tape

if TYPE_CHECKING:
    from pytest_crewai_trace.replay.network import NetworkBlock

__tracebackhide__ = hide_from_traceback
_NAME = "crewai_trace_deck"
_RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z)")


@dataclass(frozen=True)
class Cassette:
    """The cassette of the running test. ``record`` is what --crewai-record says."""

    path: Path
    record: str
    tape: Tape

    @property
    def played(self) -> int:
        """How many recorded replies were used."""
        return self.tape.played

    @property
    def recorded(self) -> int:
        """How many calls were recorded, and will be written when the test is over."""
        return len(self.tape.new)


IN_USE: pytest.StashKey[tuple[Cassette, CassetteMark, NetworkBlock | None]] = pytest.StashKey()


def start(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Be ready for tests with a cassette; at most once in a session."""
    for item in items:
        names = getattr(item, "fixturenames", None)
        if names is not None and CASSETTE not in names:  # a marker that came late: of a parameter, or of a hook
            item.fixturenames = [CASSETTE, *names]  # type: ignore[attr-defined]  # the list itself is of its parameters all
    if not config.pluginmanager.has_plugin(_NAME):
        config.pluginmanager.register(Deck(), _NAME)


@contextlib.contextmanager
def cassette_in_use(request: pytest.FixtureRequest) -> Iterator[Cassette]:
    """Replay or record, as long as a test and the fixtures that come after ours run."""
    item = cast("pytest.Item", request.node)
    start(request.config, [])
    mark = cassette_mark(item)
    path = path_of(item, mark, _fixture(request, "vcr_cassette_dir"))
    record = request.config.getoption("crewai_record")
    again = f"{_command(item)} --crewai-record all"
    loaded = None if record == "all" else _loaded(path, item, mark, again)
    volatile = Volatile(mark.volatile)
    redactor = redactor_of(request.config, item.ihook)
    recording = tracing.start(request.config).recording
    config = _fixture(request, "vcr_config") or {}
    vcr = _vcr_options(request, config)
    tape = Tape(
        play=None,
        record=record in ("all", "new_episodes") or (record == "once" and loaded is None),
        redactor=redactor,
        who=recording.who,
        detached=recording.in_asynchronous_task,
        explain=Explanation(
            shown=shown(path),
            calls=None if loaded is None else loaded.calls,
            again=again,
            once=f"{_command(item)} --crewai-record once",
            ci=_is_ci(),
            plain=volatile.without,
        ),
        through=vcr.pop("before_record_request", None),
        back=vcr.pop("before_record_response", None),
    )
    if loaded is not None:
        in_order = mark.mode == "in_order"
        tape.play = InOrder(loaded.calls) if in_order else Index(loaded.calls, volatile, tape.clean)
    in_use = Cassette(path, record, tape)
    ignored = [host for host in config.get("ignore_hosts", ()) if isinstance(host, str)]
    block = None if tape.record else block_of(item, "this test replays a cassette and has no network", ignored)
    item.stash[IN_USE] = (in_use, mark, block)
    try:
        with pytest.MonkeyPatch.context() as patch, playing(path, tape, **vcr):
            if block is not None:
                block.start()
            without_price_list(patch)
            yield in_use
    finally:
        if block is not None:
            block.stop()
        if tape.new and not tape.problems:
            new = [call for _, call in sorted(tape.new, key=lambda made: made[0])]
            save(path, [*(loaded.calls if loaded is not None else ()), *new], item.nodeid, again)
        if redactor.failures:  # what somebody's hook could not look through is not in the cassette
            raise redactor.failures[0]


def _loaded(path: Path, item: pytest.Item, mark: CassetteMark, again: str) -> Loaded | None:
    try:
        loaded = load(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        pytest.fail(f"the cassette {shown(path)} cannot be read: {error.strerror}", pytrace=False)
    except CassetteFileError as error:
        pytest.fail(f"the cassette {shown(path)} {error}. Mend it, or record it again: {again}", pytrace=False)
    if mark.path is None and _test_in(loaded.test) != _test_in(item.nodeid):
        pytest.fail(
            f"the cassette {shown(path)} is of another test, {loaded.test}. Record one for this test: {again}; or "
            f"share it: @pytest.mark.{CASSETTE}({path.name!r}) on both",
            pytrace=False,
        )
    return loaded


def _test_in(nodeid: str) -> str:
    """A test's name with its file's, however pytest's root lies."""
    return re.split(r"[/\\]", nodeid.partition("::")[0])[-1] + nodeid[nodeid.find("::") :]


def path_of(item: pytest.Item, mark: CassetteMark, folder: str | None) -> Path:
    """Where a test's cassette lies: in ``cassettes``, beside the test, as those of pytest-recording."""
    within = Path(folder) if folder else item.path.parent / "cassettes" / item.path.stem
    if mark.path is not None:
        given = within / mark.path
        return given if given.suffix in (".yaml", ".yml") else given.with_name(f"{given.name}.yaml")
    name = ".".join(item.nodeid.partition("::")[2].split("::"))
    clean = re.sub(r"[^\w.\-\[\]]", "-", name, flags=re.ASCII)
    if clean != name or len(clean) > 120 or _RESERVED.match(clean):
        clean = f"{clean[:120]}-{hashlib.blake2b(name.encode(errors='surrogatepass'), digest_size=4).hexdigest()}"
    return within / f"{clean}.yaml"


def _command(item: pytest.Item) -> str:
    """The command that runs a test, from where pytest was started."""
    name = item.nodeid.partition("::")
    with contextlib.suppress(ValueError):  # another drive
        name = (os.path.relpath(item.path, item.config.invocation_params.dir).replace(os.sep, "/"), *name[1:])
    test = "".join(name)
    return f"pytest {shlex.quote(test) if os.name == 'posix' else subprocess.list2cmdline([test])}"


def _is_ci() -> bool:
    return any(os.environ.get(name, "") not in ("", "0", "false") for name in ("CI", "BUILD_NUMBER"))


def _fixture(request: pytest.FixtureRequest, name: str) -> Any:
    """The value of a fixture of pytest-recording's, or the user's own of that name, if there is one."""
    try:
        return request.getfixturevalue(name)
    except pytest.FixtureLookupError:
        return None


# What vcrpy's options and ours have in common. How replies are found, kept and written is ours.
_SHARED = (
    "before_record",
    "before_record_request",
    "before_record_response",
    "custom_patches",
    "filter_headers",
    "filter_nested_post_data_parameters",
    "filter_post_data_parameters",
    "filter_query_parameters",
    "ignore_hosts",
    "ignore_localhost",
    "skip_patchers",
)


def _vcr_options(request: pytest.FixtureRequest, config: dict[str, Any]) -> dict[str, Any]:
    """What ``vcr_config`` and ``pytest_recording_configure`` ask of vcrpy, where it means the same here."""
    given = {name: value for name, value in config.items() if name in _SHARED}
    hook = getattr(request.config.hook, "pytest_recording_configure", None)
    configured = hook is not None and bool(hook.get_hookimpls())
    if not given and not configured:
        return {}
    import vcr  # type: ignore[import-untyped]  # it has no types

    made = vcr.VCR()
    if configured:
        request.config.hook.pytest_recording_configure(config=request.config, vcr=made)
    merged = made.get_merged_config(**given)
    return {
        name: merged[name]
        for name in ("before_record_request", "before_record_response", "custom_patches", "skip_patchers")
    }


class Deck:
    """The plugin object; registered when the first test has a cassette."""

    # Outermost, so that what the test started in the background has come to its end.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        try:
            outcome = yield
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException as error:
            # Whatever crewAI or the test made of it, this is what happened.
            self._tell(item, error)
            raise
        self._tell(item)
        in_use, mark, _ = item.stash.get(IN_USE, (None, None, None))
        if in_use is not None and mark is not None and in_use.record == "none" and not mark.allow_unused:
            calls = () if in_use.tape.play is None else in_use.tape.play.calls
            told = unused(calls, shown(in_use.path), f"{_command(item)} --crewai-record all")
            if told is not None:
                raise UnusedReplyError(told)
        return outcome

    def _tell(self, item: pytest.Item, error: BaseException | None = None) -> None:
        in_use, _, block = item.stash.get(IN_USE, (None, None, None))
        trace = None if error is None else without_libraries(error.__traceback__)
        if in_use is not None and in_use.tape.problems:
            raise in_use.tape.problems[0].with_traceback(trace) from None
        if block is not None and (told := block.told()) is not None:
            if (ours := first_of(error, (NetworkBlockedError,))) is not None:
                raise ours.with_traceback(trace) from None
            raise NetworkBlockedError(told) from error

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            if IN_USE in item.stash:
                del item.stash[IN_USE]
