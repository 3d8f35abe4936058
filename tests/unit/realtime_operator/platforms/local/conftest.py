"""Fixtures of the local platform's tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_operator.platforms.local.state_folder import StateFolder


@pytest.fixture
def folder() -> Iterator[StateFolder]:
    """A prepared state folder with a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="rt-") as path:
        made = StateFolder(Path(path) / "state")
        made.prepare()
        yield made
