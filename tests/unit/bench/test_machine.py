"""What is read of processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from bench import machine
from bench.machine import MachineError, anonymous_bytes, family, on_server_core


def test_children_belong_to_the_family() -> None:
    """And theirs."""
    with subprocess.Popen(["sh", "-c", "sleep 5 & echo; wait"], stdout=subprocess.PIPE) as shell:
        try:
            assert shell.stdout is not None
            shell.stdout.readline()
            found = family(shell.pid)
            assert found[0] == shell.pid
            assert len(found) == 2
        finally:
            for pid in family(shell.pid):
                os.kill(pid, 9)


def test_memory_that_is_taken_shows() -> None:
    """To the page, in a process that has no memory left over from before."""
    program = "input(); taken = bytearray(b'x') * (8 * 2**20); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        before = _settled(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        grown = anonymous_bytes((process.pid,)) - before
        process.stdin.write(b"\n")
    assert 8 * 2**20 <= grown <= 9 * 2**20


def _settled(pid: int) -> int:
    """What a process takes once it takes no more."""
    seen, now = -1, 0
    while now != seen or not now:
        time.sleep(0.1)
        seen, now = now, anonymous_bytes((pid,))
    return now


def test_what_is_started_on_the_servers_core_stays_there() -> None:
    """And this process is where it was."""
    before = os.sched_getaffinity(0)
    ask = "import os; print(os.sched_getaffinity(0))"
    with on_server_core():
        found = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str({machine.SERVER_CORE})
    assert os.sched_getaffinity(0) == before


def test_one_core_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The load generator would take what the server needs."""
    monkeypatch.setattr(machine, "CORES", frozenset({0}))
    with pytest.raises(MachineError, match="two cores are needed"):
        machine.prepare()


@pytest.mark.parametrize(("load", "quiet"), [(0.2, True), (3.0, False)])
def test_a_busy_machine_is_told_of(monkeypatch: pytest.MonkeyPatch, load: float, quiet: bool) -> None:
    """What others do on it shows in every figure."""
    monkeypatch.setattr("os.getloadavg", lambda: (load, 9.0, 9.0))
    assert (machine.busy() is None) is quiet
