"""What is measured on: its cores, and what the processes on it have used."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CORES = frozenset(os.sched_getaffinity(0))
SERVER_CORE = min(CORES)
"""The core of the servers."""
LOAD_CORE = max(CORES)
"""The core of the load generator and of this program."""
FILES = 16_384
"""Descriptors that a process needs for 10,000 connections and what comes with them."""


BUSY = 0.7
"""Processes that want to run, on average over the last minute; more than that is more than a desktop's noise."""


class MachineError(Exception):
    """Nothing can be measured on this machine; says why."""


def prepare() -> None:
    """Keep off the servers' core and allow enough descriptors; raises MachineError."""
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
    """What is started in the body runs on the servers' core, and so does all that it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def family(pid: int) -> tuple[int, ...]:
    """The process and all below it."""
    found = [pid]
    for member in found:
        for task in Path(f"/proc/{member}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return tuple(found)


def anonymous_bytes(pids: tuple[int, ...]) -> int:
    """Resident memory of the processes that no file backs: heap and stacks, not program text, not the kernel's.

    Pages that several of them share, since one was forked from the other, count once.
    """
    return sum(_anonymous_bytes(pid) for pid in pids)


def _anonymous_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) * 1024
    return 0


def busy() -> str | None:
    """What to say when others use the machine: their work shows in every figure. None when it is quiet."""
    load = os.getloadavg()[0]
    if load < BUSY:
        return None
    return f"The machine was busy with other things when this began (load {load:.1f}): the figures are noise"


def describe() -> str:
    """What the figures belong to."""
    return f"{_processor()}, {len(CORES)} cores, Linux {platform.release().partition('-')[0]}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
