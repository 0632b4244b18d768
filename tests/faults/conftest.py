"""Prints what was survived, at the end of the run: the numbers are what these tests are run for."""

from __future__ import annotations

import pytest

from tests.faults import harness


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line a test."""
    for line in harness.REPORTS:
        terminalreporter.write_line(f"faults: {line}")
    if harness.REPORTS:
        terminalreporter.write_line(f"faults: repeat these moments with FAULT_SEED={harness.SEED}")
