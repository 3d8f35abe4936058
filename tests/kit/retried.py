"""Run pytest, and the few tests that failed once more: `python -m tests.kit.retried ARGUMENTS`.

Thousands of tests of real processes share a machine of two cores; one that ran out of time beside the others must not
decide alone. It runs again, without others beside it. What passes only then is listed at the end of the output:
it is a fault to mend, of the test or of what it tests. More than MOST failures are no matter of time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

MOST = 3
"""Maximum number of failed tests that run again."""
FAILED = 1
"""Exit code of pytest when tests ran and some failed."""
ALONE = ("-n", "0", "--last-failed", "--last-failed-no-failures", "none")


def main(arguments: Sequence[str], run: Callable[[Sequence[str]], int] = subprocess.call) -> int:
    """Run pytest with these arguments; return its exit code, or that of the second run."""
    with tempfile.TemporaryDirectory(prefix="pytest-cache-") as cache:
        command = [sys.executable, "-P", "-m", "pytest", "-o", f"cache_dir={cache}", *arguments]
        code = run(command)
        if code != FAILED:
            return code
        failed = failed_tests(Path(cache))
        if not 0 < len(failed) <= MOST:
            return code
        show("these tests failed, and run again alone:", failed)
        code = run([*command, *ALONE])
        if code == 0:
            show("these tests passed only alone, which is a fault to mend:", failed)
        return code


def failed_tests(cache: Path) -> list[str]:
    """Return the node ids of the tests (or files, if they could not be collected) that failed in the last run."""
    file = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(file.read_text())) if file.exists() else []


def show(title: str, tests: Sequence[str]) -> None:
    """Print a title and tests."""
    print("", title, *(f"  {test}" for test in tests), sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
