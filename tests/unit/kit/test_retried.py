"""Tests that failed run once more, if they are few."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.kit import retried


class Runs:
    """Runs of pytest: each writes what failed into the cache, as pytest does."""

    def __init__(self, *failures: Sequence[str]) -> None:
        """Let each run fail for these tests."""
        self.failures = list(failures)
        self.commands: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str]) -> int:
        """Run; return pytest's exit code."""
        failed = self.failures[len(self.commands)]
        self.commands.append(command)
        cache = next(Path(part.removeprefix("cache_dir=")) for part in command if part.startswith("cache_dir="))
        (cache / "v" / "cache").mkdir(parents=True, exist_ok=True)
        (cache / "v" / "cache" / "lastfailed").write_text(json.dumps(dict.fromkeys(failed, True)))
        return retried.FAILED if failed else 0


def test_what_passes_at_once_runs_once() -> None:
    """Nothing is run again."""
    runs = Runs([])
    assert retried.main(["tests/a"], runs) == 0
    assert len(runs.commands) == 1


def test_what_passes_alone_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The second run is of the same tests that failed, in one process."""
    runs = Runs(["tests/a.py::test_b"], [])
    assert retried.main(["-n", "5", "tests"], runs) == 0
    assert tuple(runs.commands[1]) == (*runs.commands[0], *retried.ALONE)
    assert "passed only alone, which is a fault to mend:\n  tests/a.py::test_b" in capsys.readouterr().out


def test_what_fails_twice_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """A fault that does not depend on time is one."""
    assert retried.main(["tests"], Runs(["a"], ["a"])) == retried.FAILED
    assert "passed only alone" not in capsys.readouterr().out


def test_many_failures_run_once() -> None:
    """That is no matter of time."""
    runs = Runs(["a", "b", "c", "d"])
    assert retried.main(["tests"], runs) == retried.FAILED
    assert len(runs.commands) == 1


def test_other_errors_of_pytest_are_its_own() -> None:
    """Wrong arguments, or no tests, are not tried again."""
    assert retried.main(["tests"], lambda _: 4) == 4
