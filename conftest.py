"""What all tests share: ``pytester``, for the tests that run pytest in pytest."""

from __future__ import annotations

pytest_plugins = ["pytester"]
