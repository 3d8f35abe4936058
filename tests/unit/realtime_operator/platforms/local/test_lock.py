"""One holder at a time, whoever it is and however it ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from realtime_operator.errors import AlreadyRunningError
from realtime_operator.platforms.local.lock import Lock, holder

HOLD = """
import sys, time
from pathlib import Path
from realtime_operator.platforms.local.lock import Lock
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_is_refused_with_the_holders_pid(tmp_path: Path) -> None:
    """And may have it at once when the holder was killed."""
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-P", "-c", HOLD, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert holder(path) == other.pid
        with pytest.raises(AlreadyRunningError, match=rf"process {other.pid}, .*kill {other.pid}"), Lock(path):
            pass
        other.kill()
    assert holder(path) is None
    with Lock(path):
        pass


def test_nobody_holds_what_is_not_there_or_was_given_back(tmp_path: Path) -> None:
    """Asking changes nothing."""
    path = tmp_path / "lock"
    assert holder(path) is None
    with Lock(path):
        pass
    assert holder(path) is None
    assert path.read_text() == ""
