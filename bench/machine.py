"""The measuring machine: its cores, and the resources that processes have used."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CORES = frozenset(os.sched_getaffinity(0))
SERVER_CORE = min(CORES)
"""Core of the servers."""
LOAD_CORE = max(CORES)
"""Core of the load generator and of this program."""
FILES = 16_384
"""File descriptors for 10,000 connections and the program's own."""


BUSY = 0.7
"""Load average over the last minute above which other work disturbs the measurement."""


class MachineError(Exception):
    """The machine is unsuitable for measurements; the message has the reason."""


def prepare() -> None:
    """Move this process off the servers' core and raise the limit of descriptors; raises MachineError."""
    if len(CORES) < 2:
        raise MachineError("two cores are needed, one for the server and one for the load: only one may be used here")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        raise MachineError(f"{FILES} open files are needed, {hard} are allowed: raise it with `ulimit -Hn {FILES}`")
    if soft != resource.RLIM_INFINITY and soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    os.sched_setaffinity(0, {LOAD_CORE})


@contextmanager
def on_server_core() -> Iterator[None]:
    """Start processes of the body, and their children, on the servers' core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def family(pid: int) -> tuple[int, ...]:
    """Return the process and all of its descendants."""
    found = [pid]
    for member in found:
        for task in Path(f"/proc/{member}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return tuple(found)


def anonymous_bytes(pids: tuple[int, ...]) -> int:
    """Return the bytes of anonymous resident memory: heap and stacks, without files and the kernel's memory.

    Pages that several processes share after a fork count once.
    """
    return sum(_anonymous_bytes(pid) for pid in pids)


def _anonymous_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) * 1024
    return 0


def busy() -> str | None:
    """Return a warning when other processes use the machine; None when it is quiet."""
    load = os.getloadavg()[0]
    if load < BUSY:
        return None
    return f"The machine was busy with other things when this began (load {load:.1f}): the figures are noise"


def describe() -> str:
    """Describe the machine for the report."""
    return f"{_processor()}, {len(CORES)} cores, Linux {platform.release().partition('-')[0]}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
