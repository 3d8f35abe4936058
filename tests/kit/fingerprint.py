"""Short hashes of files' contents, by which caches detect changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from tests.kit.cluster.layout import REPOSITORY


def fingerprint(paths: Iterable[Path], *more: str) -> str:
    """Return twelve characters that identify the contents of files, of all files in folders, and of texts.

    Names count as they are in this checkout; those of another place from the folder of the path on.
    """
    digest = hashlib.sha256("\0".join(more).encode())
    for path in paths:
        root = REPOSITORY if path.is_relative_to(REPOSITORY) else path.parent
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]
