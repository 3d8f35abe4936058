"""Run a program that is killed when its parent ends: `pdeathsig_exec.py PARENT_PID PROGRAM ARGUMENT...`.

Linux kills it with the parent (PR_SET_PDEATHSIG), and the signal stays set over exec. Started as a file and without
site packages, so that it costs milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Replace this process with the program; returns only when the parent has ended already."""
    parent, program = int(arguments[0]), arguments[1:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:  # it may have ended before the line above
        try:
            os.execv(program[0], program)  # noqa: S606 - to run a program is what it is for
        except OSError as error:
            sys.exit(f"cannot run {program[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
