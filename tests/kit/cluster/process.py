"""The cluster's processes, identified by process id and start time, never by name."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.kit.cluster.layout import Layout


class ClusterError(Exception):
    """The cluster cannot be started or used; the message has the reason and the log to read."""


def run(*command: str | Path, timeout: float = 120, stdin: str | None = None) -> str:
    """Run a program to its end and return its output; raises ClusterError with its error output."""
    words = [str(word) for word in command]
    try:
        result = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout)
    except FileNotFoundError as error:
        raise ClusterError(f"{words[0]} is not installed; `hack/setup-system.sh cluster` installs it") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{' '.join(words)} did not end within {timeout:g} s") from error
    if result.returncode != 0:
        raise ClusterError(f"{' '.join(words)}: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


def inside(layout: Layout, *command: str | Path) -> list[str]:
    """Return the command line that runs a command in the cluster's network and mount namespaces."""
    holder = read_pid(layout, "holder")
    if holder is None:
        raise ClusterError("the cluster is not up; start it with `make cluster-up`")
    return ["nsenter", "-t", str(holder), "-m", "-n", "--", *map(str, command)]


def start(layout: Layout, name: str, *command: str | Path) -> None:
    """Start a component inside the namespaces, with its output in logs/NAME.log and its id in NAME.pid."""
    layout.logs.mkdir(parents=True, exist_ok=True)
    with (layout.logs / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            inside(layout, *command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    write_pid(layout, name, process.pid)


def write_pid(layout: Layout, name: str, pid: int) -> None:
    """Record a process by id and start time, so that a reused id is not mistaken for it."""
    (layout.state / f"{name}.pid").write_text(f"{pid} {_start_time(pid)}")


def read_pid(layout: Layout, name: str) -> int | None:
    """Return the id of a running component, None when it does not run."""
    with contextlib.suppress(OSError, ValueError):
        pid, started = (layout.state / f"{name}.pid").read_text().split()
        if _start_time(int(pid)) == started:
            return int(pid)
    return None


def _start_time(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if stat[0] == "Z":
        raise OSError("the process has ended")
    return stat[19]


def stop(layout: Layout, names: Sequence[str], *, grace: float = 5) -> None:
    """End components together: SIGTERM, then SIGKILL after `grace` seconds."""
    pids = {name: pid for name in names if (pid := read_pid(layout, name)) is not None}
    for pid in pids.values():
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(read_pid(layout, name) for name in pids):
        _reap()
        time.sleep(0.05)
    for name in pids:
        left = read_pid(layout, name)
        if left is not None:
            _signal(left, signal.SIGKILL)
    _reap()
    for name in names:
        (layout.state / f"{name}.pid").unlink(missing_ok=True)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def wait_for(layout: Layout, what: str, ready: Callable[[], bool], *, timeout: float, log: str) -> None:
    """Poll until `ready`; after `timeout` seconds raise ClusterError with the end of a component's log."""
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} is not ready after {timeout:g} s; {tail(layout, log)}")
        time.sleep(0.1)


def tail(layout: Layout, name: str, lines: int = 15) -> str:
    """Return the end of a component's log."""
    path = layout.logs / f"{name}.log"
    text = path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []
    return "\n".join([f"the end of {path}:", *text])


def succeeds(command: Sequence[str]) -> bool:
    """Return True when a command exits with 0 within 5 seconds."""
    try:
        return subprocess.run(command, capture_output=True, timeout=5).returncode == 0
    except subprocess.TimeoutExpired:
        return False
