"""Another commit of this repository, to be measured beside this checkout."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.build import BuildError

REPOSITORY = Path(__file__).parents[1]


@contextlib.contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Yield the folder of a worktree of `commit`, which is removed afterwards.

    Raises BuildError when there is no such commit.
    """
    with tempfile.TemporaryDirectory(prefix="base-") as folder:
        checkout = Path(folder) / "checkout"
        git("worktree", "add", "--detach", str(checkout), commit)
        try:
            yield checkout
        finally:
            git("worktree", "remove", "--force", str(checkout))


@contextlib.contextmanager
def installed(commit: str) -> Iterator[Path]:
    """Yield a folder for PYTHONPATH with the packages of `commit`, its native module compiled.

    Libraries are those of this Python. Raises BuildError when the commit cannot be had or built.
    """
    with checked_out(commit) as checkout:
        target = checkout.parent / "installed"
        _run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(checkout))
        yield target


def git(*arguments: str) -> str:
    """Run git in this repository and return what it prints. Raises BuildError when it fails."""
    return _run("git", "-C", str(REPOSITORY), *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"`{' '.join(command[:4])}` fails: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()
