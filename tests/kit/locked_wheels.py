"""Wheels of locked requirements for another version of Python."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from packaging.markers import Marker

from tests.kit.cluster.process import run
from tests.kit.fingerprint import fingerprint

DOWNLOAD_SECONDS = 600
MARKED = re.compile(r"(?P<pinned>\S+==\S+) ; (?P<marker>.+) \\")
"""Pattern of a requirement with a marker in a lock of uv."""


def requirements_for(lock: str, python: str) -> str:
    """The requirements of a lock that are for a Python, e.g. 3.13.5, on this machine, without their markers.

    pip evaluates markers for the interpreter that it runs on, not for the one that it downloads for.
    """
    environment = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    kept, wanted = [], True
    for line in lock.splitlines():
        marked = MARKED.fullmatch(line)
        if not line.startswith(" "):
            wanted = marked is None or Marker(marked["marker"]).evaluate(environment)
        if wanted:
            kept.append(line if marked is None else f"{marked['pinned']} \\")
    return "\n".join(kept) + "\n"


def collect_wheels(folder: Path, python: str, lock: Path, *others: Path) -> None:
    """Fill a folder with the wheels of all locks and a requirements.txt of the first one, unless they are there.

    Raises ClusterError when one cannot be had.
    """
    stamp = folder / ".lock"
    wanted = fingerprint([lock, *others], python)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    requirements = folder / "requirements.txt"
    for one in (*others, lock):
        requirements.write_text(requirements_for(one.read_text(), python))
        run(sys.executable, "-P", "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps",
            "--only-binary=:all:", "--python-version", python, "--dest", folder, "--requirement", requirements,
            timeout=DOWNLOAD_SECONDS)  # fmt: skip
    stamp.write_text(wanted)
