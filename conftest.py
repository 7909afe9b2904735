"""What all tests share: ``pytester``, for the tests that run pytest in pytest, and the scoreboard."""

from __future__ import annotations

pytest_plugins = ["pytester", "tests.scoreboard"]
