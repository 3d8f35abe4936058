"""Builds of the measured programs, once: the C programs, the npm packages, the Go program.

Results are in a cache folder under a name derived from their sources.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

BENCH = Path(__file__).parent
SERVERS = BENCH / "servers"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "realtime-operator" / "bench"
C_FLAGS = ("-O2", "-std=c11", "-Wall", "-Wextra")
BUILD_SECONDS = 600.0


class BuildError(Exception):
    """A program cannot be built; the message names it and the reason."""


def c_program(name: str) -> Path:
    """Build the C program in the folder `name`; return its path. Raises BuildError."""
    sources = sorted((BENCH / name).glob("*.[ch]"))
    program = _cached(name, sources, C_FLAGS)
    if not program.exists():
        units = [str(source) for source in sources if source.suffix == ".c"]
        _run([_tool("cc", "a C compiler, gcc or clang"), *C_FLAGS, "-o", f"{program}.new", *units], BENCH / name)
        Path(f"{program}.new").rename(program)
    return program


def go_program(name: str) -> Path:
    """Build the Go module in `servers/name` with the locked versions of go.sum; return its path. Raises BuildError."""
    folder = SERVERS / name
    program = _cached(name, [*sorted(folder.glob("*.go")), folder / "go.mod", folder / "go.sum"], ())
    if not program.exists():
        command = [_tool("go", "Go"), "build", "-mod=readonly", "-trimpath", "-o", f"{program}.new", "."]
        _run(command, folder)
        Path(f"{program}.new").rename(program)
    return program


def node_modules() -> str:
    """Install the packages of the lock file in `servers`; return the path of Node.js. Raises BuildError."""
    node, npm = _tool("node", "Node.js"), _tool("npm", "npm")
    installed, lock = SERVERS / "node_modules" / ".installed", SERVERS / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        _run([npm, "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], SERVERS)
        installed.touch()
    return node


def _cached(name: str, sources: Sequence[Path], flags: Sequence[str]) -> Path:
    digest = hashlib.sha256(repr(flags).encode())
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    CACHE.mkdir(parents=True, exist_ok=True)
    return CACHE / f"{name}-{digest.hexdigest()[:16]}"


def _tool(name: str, called: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise BuildError(f"{called} is not installed (there is no `{name}` in PATH)")
    return path


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"`{' '.join(command)}` has not ended in {BUILD_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise BuildError(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()[-500:]}")
