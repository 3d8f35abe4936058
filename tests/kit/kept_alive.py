"""Backends that publish in a loop on keep-alive connections (aiohttp, urllib3, Node's fetch), or on a new one each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import aiohttp
import urllib3

from realtime_operator.api.base import JsonObject
from tests.kit.deadline import eventually
from tests.kit.document import object_at, parse, text_at, whole_at

PROGRAM = Path(__file__).parent / "sdk" / "kept_alive.mjs"
CALL_SECONDS = 10.0


@dataclass
class Backend(ABC):
    """Publishes {"sequence": 1}, {"sequence": 2} and so on, one at a time, until it is stopped."""

    url: str
    key: str
    channel: str
    interval: float
    """Seconds between two publications, in which the connection is idle."""
    confirmed: dict[int, int] = field(default_factory=dict)
    """Offsets by sequence number."""
    failed: list[str] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when no call is under way any more."""
    name: ClassVar[str]

    @abstractmethod
    async def run(self) -> None:
        """Publish until `stopping` is set."""

    def note(self, sequence: int, status: int, body: bytes) -> None:
        """Record the outcome of one publication."""
        answer = parse(body) if status == 200 else {}
        if "result" in answer:
            self.confirmed[sequence] = whole_at(object_at(answer, "result"), "offset")
        else:
            self.failed.append(f"{self.name}: {sequence}: HTTP {status}: {body.decode(errors='replace')}")

    def body(self, sequence: int) -> bytes:
        """Return the body of one call."""
        return json.dumps({"channel": self.channel, "data": {"sequence": sequence}}).encode()

    async def pause(self) -> None:
        """Wait for the interval, or for the stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), self.interval)


class AiohttpBackend(Backend):
    """A backend with one aiohttp session, as its documentation recommends."""

    name = "aiohttp"
    keeps: ClassVar[bool] = True

    async def run(self) -> None:
        """See Backend."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=not self.keeps),
            headers={"X-API-Key": self.key},
            timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
        ) as session:
            sequence = 0
            while not self.stopping.is_set():
                sequence += 1
                try:
                    async with session.post(f"{self.url}/api/publish", data=self.body(sequence)) as response:
                        self.note(sequence, response.status, await response.read())
                except (aiohttp.ClientError, TimeoutError) as error:
                    self.failed.append(f"{self.name}: {sequence}: {error!r}")
                await self.pause()


class FreshBackend(AiohttpBackend):
    """A backend with a new connection for every call."""

    name = "fresh"
    keeps = False


class Urllib3Backend(Backend):
    """A backend with urllib3, as `requests` uses it, without retries."""

    name = "urllib3"

    async def run(self) -> None:
        """See Backend."""
        with urllib3.PoolManager(retries=False, timeout=CALL_SECONDS, headers={"X-API-Key": self.key}) as pool:
            sequence = 0
            while not self.stopping.is_set():
                sequence += 1
                try:
                    response = await asyncio.to_thread(
                        pool.request, "POST", f"{self.url}/api/publish", body=self.body(sequence)
                    )
                    self.note(sequence, response.status, response.data)
                except urllib3.exceptions.HTTPError as error:
                    self.failed.append(f"{self.name}: {sequence}: {error!r}")
                await self.pause()


class FetchBackend(Backend):
    """A backend with Node's fetch, in a process of its own."""

    name = "fetch"

    async def run(self) -> None:
        """See Backend."""
        node = shutil.which("node")
        assert node is not None, "Node.js is not installed: run `make setup`"
        options: JsonObject = {
            "url": self.url, "key": self.key, "channel": self.channel, "interval": self.interval,
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            node, str(PROGRAM), json.dumps(options), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        stopping = asyncio.create_task(self._close(process.stdin), name="fetch-stop")
        try:
            while line := await process.stdout.readline():
                outcome = parse(line)
                if outcome["error"]:
                    self.failed.append(f"{self.name}: {outcome['sequence']}: {text_at(outcome, 'error')}")
                else:
                    self.confirmed[whole_at(outcome, "sequence")] = whole_at(outcome, "offset")
        finally:
            stopping.cancel()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _close(self, stdin: asyncio.StreamWriter) -> None:
        await self.stopping.wait()
        stdin.close()


async def _run(backend: Backend) -> None:
    try:
        await backend.run()
    finally:
        backend.ended.set()


async def go_on(backends: list[Backend], calls: int) -> None:
    """Wait until each backend has had so many more calls confirmed."""
    before = {backend.channel: len(backend.confirmed) for backend in backends}

    async def fewest() -> int:
        return min(len(backend.confirmed) - before[backend.channel] for backend in backends)

    await eventually(
        fewest,
        lambda count: count >= calls,
        what=f"{calls} more calls of each backend",
        within=CALL_SECONDS,
        show=lambda count: f"{count}, failed: {[failure for backend in backends for failure in backend.failed]}",
    )


async def stop_backends(backends: list[Backend]) -> None:
    """Stop backends, and wait for the answers to their last calls."""
    for backend in backends:
        backend.stopping.set()
    for backend in backends:
        await backend.ended.wait()


KINDS: tuple[type[Backend], ...] = (AiohttpBackend, FreshBackend, Urllib3Backend, FetchBackend)


@contextlib.asynccontextmanager
async def publishing_backends(url: str, key: str, *, intervals: tuple[float, ...]) -> AsyncIterator[list[Backend]]:
    """Run backends of each kind at each interval, each with a channel of its own, while the body runs."""
    backends = [kind(url, key, f"chat:{kind.name}-{interval}", interval) for kind in KINDS for interval in intervals]
    async with asyncio.TaskGroup() as group:
        for backend in backends:
            group.create_task(_run(backend), name=backend.channel)
        try:
            yield backends
        finally:
            for backend in backends:
                backend.stopping.set()
