"""Tests of programs that end with their parent."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from realtime_operator.platforms.local import pdeathsig_exec


def run_bound(parent: int, *program: str) -> subprocess.CompletedProcess[str]:
    """Run a program that is bound to this parent, to its end."""
    command = [sys.executable, "-S", "-E", "-P", pdeathsig_exec.__file__, str(parent), *program]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)


def test_it_becomes_the_program() -> None:
    """The program has its arguments, output and exit code."""
    ran = run_bound(os.getpid(), "/bin/sh", "-c", "echo $1; exit 7", "sh", "an argument")
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, "an argument\n", "")


def test_nothing_runs_when_the_parent_is_gone_already() -> None:
    """The parent may end between the start of pdeathsig_exec and its first line."""
    ran = run_bound(os.getppid(), "/bin/echo", "ran")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("program", "reason"), [("/no/such/program", "No such file or directory"), ("/", "Permission denied")]
)
def test_what_cannot_be_run_is_named(program: str, reason: str) -> None:
    """The error is one line, the part of a log that is shown."""
    ran = run_bound(os.getpid(), program)
    assert (ran.returncode, ran.stderr) == (1, f"cannot run {program}: {reason}\n")
