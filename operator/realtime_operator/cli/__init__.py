"""`realtime` and `kubectl realtime`: the command line for all platforms."""

from __future__ import annotations

from realtime_operator.errors import INTERRUPTED


def main() -> int:
    """Run one command; return its exit code. Ctrl-C while modules are still imported ends it without a trace."""
    try:
        from realtime_operator.cli.__main__ import main as run

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED
