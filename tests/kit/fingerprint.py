"""Short hashes of files' contents, by which caches detect changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from tests.kit.cluster.layout import REPOSITORY


def fingerprint(paths: Iterable[Path], *more: str) -> str:
    """Return twelve characters that identify the contents of files, of Python files in folders, and of texts."""
    digest = hashlib.sha256("\0".join(more).encode())
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(REPOSITORY)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]
