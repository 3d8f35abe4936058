"""The load generator (`load/*.c`): one process for each measurement, on a core of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from bench.machine import LOAD_CORE, anonymous_bytes
from bench.measured import Measured

DATA_BYTES = 128
Protocol = Literal["centrifugo", "socket.io", "socket.io-polling", "plain"]
"""Protocol of a server's subscribers. Publishers do not poll."""
LIMIT_SECONDS = 120.0
"""Seconds after which a measurement has failed."""


class LoadError(Exception):
    """The server did not do what the scenario needs; there is no measurement."""


@dataclass(frozen=True, slots=True)
class Target:
    """A running server: its addresses for subscribers and publishers, its processes, its protocol."""

    port: int
    publish_port: int
    pids: tuple[int, ...]
    protocol: Protocol = "centrifugo"


@dataclass(frozen=True, slots=True)
class Load:
    """Load on a server; the fields are the generator's options. Times in seconds.

    `scenario` is fan-out, inbound, storm or idle. A rate of 0 keeps `in_flight` publications pending.
    """

    scenario: str
    clients: int
    in_flight: int = 1
    rate: float = 0.0
    seconds: float = 2.0
    warm_up: float = 0.5
    at_once: int = 64
    bare: bool = False
    warm_clients: int = 0
    """idle: connections before the measured ones, so that one-time allocations are not counted."""
    settle: float = 2.0
    """idle: seconds between the last connection and the measurement of memory."""

    def arguments(self) -> list[str]:
        """Return the arguments of the generator."""
        numbers: dict[str, float | str] = {
            "clients": self.clients,
            "in-flight": self.in_flight,
            "rate": self.rate,
            "seconds": self.seconds,
            "warm-up": self.warm_up,
            "at-once": self.at_once,
            "data-bytes": DATA_BYTES,
        }
        if self.scenario == "idle":
            numbers["stages"] = f"{self.warm_clients},{self.clients}"
        flags = ["--bare"] if self.bare else []
        return [*(f"--{name}={value}" for name, value in numbers.items()), *flags, self.scenario]


@dataclass(frozen=True, slots=True)
class Generator:
    """The program, and the file with its clients' tokens."""

    program: Path
    tokens: Path

    async def run(self, load: Load, target: Target) -> Measured:
        """Run one measurement; raises LoadError."""
        try:
            async with asyncio.timeout(LIMIT_SECONDS), self._process(load, target) as process:
                if load.scenario == "idle":
                    return await _grow(load, target, process)
                return msgspec.json.decode(await _line(process), type=Measured)
        except TimeoutError as error:
            raise LoadError(f"the measurement was not done in {LIMIT_SECONDS:.0f} s") from error

    @contextlib.asynccontextmanager
    async def _process(self, load: Load, target: Target) -> AsyncIterator[asyncio.subprocess.Process]:
        os.sched_setaffinity(0, {LOAD_CORE})  # which the generator inherits
        process = await asyncio.create_subprocess_exec(
            self.program,
            f"--port={target.port}",
            f"--publish-port={target.publish_port}",
            f"--processes={','.join(map(str, target.pids))}",
            f"--tokens={self.tokens}",
            f"--protocol={target.protocol}",
            *load.arguments(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    assert process.stderr is not None
    line = await process.stdout.readline()
    if not line:
        raise LoadError((await process.stderr.read()).decode(errors="replace").strip() or "no result")
    return line


async def _grow(load: Load, target: Target, process: asyncio.subprocess.Process) -> Measured:
    assert process.stdin is not None
    await _line(process)
    await asyncio.sleep(load.settle)
    before = anonymous_bytes(target.pids)
    process.stdin.write(b"\n")
    await _line(process)
    await asyncio.sleep(load.settle)
    return Measured(count=load.clients, memory=anonymous_bytes(target.pids) - before)
