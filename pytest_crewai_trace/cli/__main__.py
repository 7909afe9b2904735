"""``python -m pytest_crewai_trace.cli``."""

import sys

from pytest_crewai_trace.cli import main

sys.exit(main())
