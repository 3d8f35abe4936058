"""Restriction of tests that need root to root, with a notice for others."""

from __future__ import annotations

import pytest

from tests.kit.cut_off import may_make_islands

collect_ignore = [] if may_make_islands() else ["test_partition.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report the tests that were not collected."""
    for name in collect_ignore:
        terminalreporter.write_line(f"not collected without root: tests/component/faults/{name} (network namespaces)")
