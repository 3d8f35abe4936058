"""Golden files: what a program writes, as reviewed once. UPDATE_GOLDEN=1 writes them anew, to be reviewed again."""

from __future__ import annotations

import os
from pathlib import Path

UPDATE = "UPDATE_GOLDEN"


def check_golden(path: Path, actual: str) -> None:
    """Fail when the text is not what the file says; with UPDATE_GOLDEN in the environment, write the file."""
    if os.environ.get(UPDATE):
        path.write_text(actual)
    expected = path.read_text() if path.exists() else ""
    assert actual == expected, f"{path.name} differs; if it should, set {UPDATE}=1, and review the change"
