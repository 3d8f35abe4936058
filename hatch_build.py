"""Compiles the server's hot path into the wheel, where there is a C compiler; without one the wheel is pure Python.

`REALTIME_NATIVE=0` builds without it, `REALTIME_NATIVE=1` fails when it cannot be built.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = Path("server", "native")
MODULE = Path("server", "realtime_server", "_native")
FLAGS = ("-O2", "-std=c11", "-fPIC", "-shared", "-Wall", "-Wextra", "-fvisibility=hidden", "-g0")
COMPILE_SECONDS = 120


class NativeBuildHook(BuildHookInterface[Any]):
    """Builds `realtime_server._native` beside its package, and puts it into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say what the wheel is for."""
        del version
        wanted = os.environ.get("REALTIME_NATIVE", "")
        root = Path(self.root)
        target = root / f"{MODULE}{sysconfig.get_config_var('EXT_SUFFIX')}"
        if wanted == "0":
            target.unlink(missing_ok=True)
            return
        try:
            compile_module(root, target)
        except (OSError, subprocess.SubprocessError) as error:
            if wanted == "1":
                raise
            target.unlink(missing_ok=True)
            self.app.display_warning(f"without the accelerator, which could not be compiled: {error}")
            return
        build_data["artifacts"].append(str(target.relative_to(root)))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compile_module(root: Path, target: Path) -> None:
    """Compile and link all sources at once; raises OSError or SubprocessError.

    What is there is replaced in one step: other processes may be about to load it.
    """
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    sources = sorted(str(source.relative_to(root)) for source in (root / SOURCES).glob("*.c"))
    includes = [f"-I{sysconfig.get_path('include')}", f"-I{sysconfig.get_path('platinclude')}"]
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".native-") as folder:
        made = Path(folder, target.name)
        command = [*compiler, *FLAGS, *includes, "-o", str(made), *sources]
        subprocess.run(command, cwd=root, check=True, timeout=COMPILE_SECONDS)  # noqa: S603 - the compiler that was named
        made.replace(target)
