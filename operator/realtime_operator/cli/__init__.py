"""`realtime` and `kubectl realtime`: what people type, on every platform."""

from __future__ import annotations

from realtime_operator.errors import INTERRUPTED


def main() -> int:
    """Run one command; its exit code. Ctrl-C while the program is still being read ends it as quietly as later."""
    try:
        from realtime_operator.cli.__main__ import main as run

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED
