"""Entry point of `realtime-server`: `run` blocks SIGTERM and SIGINT before anything else is imported."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    The kernel drops a signal that process 1 of a container neither blocks nor handles: a server that is told to stop
    during its imports would run until it is killed. A blocked signal stays pending until the supervisor takes it.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["run"]:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    from realtime_server import command_line  # takes up to a second, several on a busy node

    return command_line.main(given)


if __name__ == "__main__":
    sys.exit(main())
