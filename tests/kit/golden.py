"""Golden files: reviewed output of programs. UPDATE_GOLDEN=1 rewrites them, for another review."""

from __future__ import annotations

import os
from pathlib import Path

UPDATE = "UPDATE_GOLDEN"


def check_golden(path: Path, actual: str) -> None:
    """Assert that the text equals the file; with UPDATE_GOLDEN in the environment, write the file."""
    if os.environ.get(UPDATE):
        path.write_text(actual)
    expected = path.read_text() if path.exists() else ""
    assert actual == expected, f"{path.name} differs; if it should, set {UPDATE}=1, and review the change"
