"""Files of an earlier commit of this repository."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


class CommitMissingError(AssertionError):
    """The commit is missing in this clone."""


def unpack(commit: str, folder: Path, *paths: str) -> None:
    """Unpack the files of a commit below `paths` (all without any) into a folder, which is there whole or not at all.

    Raises CommitMissingError where the clone has no history: a promise about earlier releases can't be tested without.
    """
    archive = subprocess.run(["git", "archive", commit, *paths], cwd=REPOSITORY, capture_output=True)
    if archive.returncode != 0:
        raise CommitMissingError(
            f"the commit {commit} is not in this clone, whose history may be cut off: fetch it with"
            f" `git fetch --unshallow`; git says: {archive.stderr.decode().strip()}"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as part:
        unpacked = Path(part) / "files"
        unpacked.mkdir()
        subprocess.run(["tar", "-x", "-C", str(unpacked)], input=archive.stdout, check=True)
        unpacked.rename(folder)
