"""Tests of the lock: one holder at a time, also after a crash."""

from __future__ import annotations

import os
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


ASK = """
import fcntl, os, sys, time
file = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(file, fcntl.LOCK_SH)
print("asks", flush=True)
time.sleep(0.1)
"""


def test_another_process_is_refused_with_the_holders_pid(tmp_path: Path) -> None:
    """After the holder was killed the lock is free at once."""
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


def test_whoever_asks_for_the_holder_keeps_nobody_out(tmp_path: Path) -> None:
    """`realtime status` takes the lock for an instant; a `realtime up` that starts then is not refused."""
    path = tmp_path / "lock"
    path.touch()
    with subprocess.Popen([sys.executable, "-S", "-c", ASK, str(path)], stdout=subprocess.PIPE) as asking:
        assert asking.stdout is not None
        asking.stdout.readline()
        with Lock(path):
            assert holder(path) == os.getpid()


def test_nobody_holds_what_is_not_there_or_was_given_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) is None
    with Lock(path):
        pass
    assert holder(path) is None
    assert path.read_text() == ""
