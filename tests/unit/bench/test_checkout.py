"""Other commits beside this checkout."""

from __future__ import annotations

import pytest
from bench.build import BuildError
from bench.checkout import checked_out, git


def test_a_commit_is_there_while_it_is_measured() -> None:
    """The worktree is removed afterwards."""
    with checked_out("HEAD") as folder:
        assert (folder / "pyproject.toml").exists()
        assert git("-C", str(folder), "rev-parse", "HEAD") == git("rev-parse", "HEAD")
    assert not folder.exists()
    assert str(folder) not in git("worktree", "list")


def test_a_commit_that_is_not_there_is_named() -> None:
    """The error has git's words."""
    with pytest.raises(BuildError, match="no-such-commit"), checked_out("no-such-commit"):
        pass
