"""Suites as people write them give the same outcomes with the plugin and without: test by test, phase by phase."""

from __future__ import annotations

import os

import pytest

from tests.browser.conftest import chromium
from tests.plugin.test_other_plugins import run, together

__all__ = ["together"]

SUITES = {
    "conftest.py": """
        import os
        from pathlib import Path

        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_runtest_logreport(report):
            told = [report.nodeid, report.when, report.outcome, getattr(report, "wasxfail", ""), report.location[2]]
            crash = getattr(report.longrepr, "reprcrash", None)
            told.append("" if crash is None else crash.message.splitlines()[0])
            with Path(os.environ["TOLD"]).open("a") as file:
                print(*told, sep=" | ", file=file)

        @pytest.fixture(scope="session")
        def vcr_config():
            return {"record_mode": "none"}
        """,
    "test_asyncio.py": """
        import asyncio
        import pytest

        class TestScopes:
            @pytest.mark.asyncio
            async def test_function(self): await asyncio.sleep(0)

            @pytest.mark.asyncio(loop_scope="class")
            async def test_class(self): assert asyncio.get_running_loop().is_closed()

            @pytest.mark.asyncio(loop_scope="module")
            async def test_module(self): await asyncio.gather(asyncio.sleep(0), asyncio.to_thread(print, "x"))

            @pytest.mark.asyncio(loop_scope="package")
            async def test_package(self): raise asyncio.CancelledError

            @pytest.mark.asyncio(loop_scope="session")
            async def test_session(self): asyncio.get_running_loop().call_soon(print)
        """,
    "test_anyio.py": """
        import anyio
        import pytest

        @pytest.fixture
        def anyio_backend(): return "asyncio"

        @pytest.fixture
        async def opened(anyio_backend):
            yield 1
            raise OSError("closing failed")

        @pytest.mark.anyio
        async def test_group():
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 0)

        @pytest.mark.anyio
        async def test_fails():
            with anyio.fail_after(0): await anyio.sleep(10)

        @pytest.mark.anyio
        async def test_error_in_teardown(opened): assert opened == 1
        """,
    "test_unittest.py": """
        import unittest

        def setUpModule(): pass

        class Old(unittest.TestCase):
            @classmethod
            def setUpClass(cls): cls.shared = 1
            def setUp(self): self.addCleanup(print, "cleaned")
            def test_passes(self): self.assertEqual(self.shared, 1)
            def test_fails(self): self.assertEqual(self.shared, 2)
            def test_skips(self): self.skipTest("no")
            @unittest.expectedFailure
            def test_expected(self): self.fail()
            def test_parts(self):
                for number in range(3):
                    with self.subTest(number=number): self.assertNotEqual(number, 1)
            def test_cleanup_fails(self): self.addCleanup(self.fail, "in cleanup")

        class New(unittest.IsolatedAsyncioTestCase):
            async def asyncSetUp(self): self.ready = True
            async def test_async(self): self.assertTrue(self.ready)

        class Broken(unittest.TestCase):
            @classmethod
            def setUpClass(cls): raise RuntimeError("no class")
            def test_never(self): pass
        """,
    "test_plain.py": """
        import sys, warnings
        import pytest

        attempts = []

        @pytest.mark.flaky(reruns=2)
        def test_flaky():
            attempts.append(1)
            assert len(attempts) == 2

        @pytest.mark.flaky(reruns=1)
        def test_always_flaky(): assert False

        @pytest.mark.xfail(strict=True)
        def test_xpasses(): pass

        @pytest.mark.timeout(0.3, method="signal")
        def test_too_slow():
            while True: pass

        @pytest.mark.timeout(300, method="thread")
        def test_fast(): pass

        @pytest.mark.filterwarnings("error")
        def test_warns(): warnings.warn("x")

        @pytest.mark.vcr
        def test_no_cassette():
            import httpx
            httpx.get("http://127.0.0.1:9/")

        def test_snapshot(snapshot): assert {"a": 1} == snapshot

        def test_captured(capsys, caplog, recwarn, monkeypatch, tmp_path, request):
            print("x")
            assert capsys.readouterr().out == "x\\n"
            assert not caplog.records
            assert not recwarn.list
            assert request.node.user_properties == []

        @pytest.mark.parametrize("n", [1, 2])
        def test_each(n, subtests=None): assert n == 1

        def test_exits(): sys.exit(3)

        @pytest.fixture
        def broken(): raise LookupError("no fixture")

        def test_error(broken): pass
        """,
}
BROWSER = {
    "conftest.py": SUITES["conftest.py"]
    + """
        @pytest.fixture(scope="session")
        def browser_type_launch_args():
            return {"executable_path": os.environ["CHROMIUM"], "args": ["--no-sandbox", "--disable-gpu"]}
        """,
    "test_page.py": """
        import pytest

        @pytest.fixture
        def filled(page):
            page.set_content("<p>hello</p>")
            yield page
            assert page.inner_text("p") == "hello"

        def test_passes(filled): assert filled.inner_text("p") == "hello"
        def test_fails(filled): assert filled.inner_text("p") == "bye"
        def test_waits_in_vain(filled): filled.wait_for_selector("#none", timeout=100)
        def test_error_in_teardown(filled): filled.evaluate("document.body.innerHTML = '<p>bye</p>'")
        def test_context(context, browser_name): assert browser_name == "chromium" and not context.pages
        """,
}
CREWS = """
    def test_crew(): assert run().raw == "done"
    def test_crew_fails(): assert run().raw == "undone"
    def test_crew_raises(): run(ValueError("down"))
    def test_crew_in_a_thread():
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    @pytest.mark.asyncio
    async def test_crew_async(): assert (await crew().akickoff(inputs={"topic": "AI"})).raw == "done"
    @pytest.mark.timeout(600, method="signal")
    def test_crew_with_a_limit(): run()
    """
RUNS = {
    "together": (SUITES, ("--html=report.html", "--cov=tests.support.crews", "--cov-report=", "--randomly-seed=7")),
    "workers": (SUITES, ("-n", "2", "--dist=loadfile", "-p", "no:randomly")),
    "browser": (BROWSER, ("--tracing=retain-on-failure", "--screenshot=only-on-failure", "-p", "no:randomly")),
}
# In the suite the one that has most in it, without crews; all of them, with crews, in `nox -s interference`.
ALL = bool(os.environ.get("CREWAI_TRACE_INTERFERENCE"))


@pytest.mark.skipif(os.name != "posix", reason="SIGALRM")
@pytest.mark.parametrize("how", RUNS if ALL else ["together"])
def test_s12_the_same_outcomes_with_and_without(together, how, monkeypatch):
    suites, arguments = RUNS[how]
    if how == "browser":
        if (found := chromium()) is None:
            pytest.skip("no Chromium")
        monkeypatch.setenv("CHROMIUM", found)
    for name, text in suites.items():
        together.write(name, text)
    if ALL:
        together.tests(CREWS, "test_crews.py")
    for name in ("CREWAI_DISABLE_TELEMETRY", "OTEL_SDK_DISABLED", "CREWAI_DISABLE_VERSION_CHECK"):
        monkeypatch.setenv(name, "true")  # without the plugin nobody else sees to that
    told = {}
    for ours in (("--crewai-trace", "--crewai-trace-html=traces.html"), ("-p", "no:crewai_trace")):
        path = together.path.with_name(f"{how}-{len(told)}")
        monkeypatch.setenv("TOLD", str(path))
        monkeypatch.setenv("CREWAI_STORAGE_DIR", str(path.with_name(f"{path.name}-storage")))
        result = run(together, *arguments, *ours)
        lines = path.read_text("utf-8").splitlines()
        told[ours[-1]] = (result.ret, lines if how != "workers" else sorted(lines))

    with_us, without = told.values()
    assert with_us == without
    assert with_us[0] == pytest.ExitCode.TESTS_FAILED
    assert len(with_us[1]) > (14 if suites is BROWSER else 90), "phases that were told of"
