"""Parts of the C programs as a library, so that they can be tested from here."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.build import BENCH, C_FLAGS


@contextmanager
def c_library(folder: str, *units: str) -> Iterator[ctypes.CDLL]:
    """Compile files of `bench/folder`, with warnings as errors and undefined behaviour trapped."""
    with tempfile.TemporaryDirectory(prefix="c-library-") as made:
        library = Path(made) / "library.so"
        checks = ["-Werror", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-fPIC", "-shared"]
        subprocess.run(["cc", *C_FLAGS, *checks, "-o", library, *units], cwd=BENCH / folder, check=True, timeout=60)
        yield ctypes.CDLL(str(library))
