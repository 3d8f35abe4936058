"""Client of a cluster's HTTP server API."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Self

import aiohttp

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.document import object_at, parse, text_at, whole_at
from tests.kit.ledger import Published

CALL_SECONDS = 15


class ApiError(Exception):
    """The API answered with an error; `status` is the HTTP status, `code` the error's code (0 if there is none)."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(f"HTTP {status}, code {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


class ServerApi:
    """Calls the API at `address` (http://host:port) with the key. Every call is a connection of its own.

    So calls are spread over the servers behind a Service, and none runs on one that a server is about to close. With
    `kept` connections are kept and used again, as most backends do. `headers` are those of each call.
    """

    def __init__(self, address: str, key: str, *, kept: bool = False) -> None:
        self.address = address
        self.key = key
        self._kept = kept
        self.headers = {"X-API-Key": key}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=not self._kept, limit=0),
            timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    async def call(self, method: str, **params: JsonValue) -> JsonObject:
        """Call a method and return its result; raises ApiError, or aiohttp's errors without an answer."""
        assert self._session is not None
        url = f"{self.address}/api/{method}"
        async with self._session.post(url, data=json.dumps(params), headers=self.headers) as response:
            body = await response.read()
            if response.status != 200:
                raise ApiError(response.status, 0, body.decode(errors="replace"))
        answer = parse(body)
        error = answer.get("error")
        if isinstance(error, dict):
            raise ApiError(200, whole_at(error, "code"), text_at(error, "message"))
        return object_at(answer, "result")

    async def publish(self, channel: str, data: JsonValue) -> tuple[int, str]:
        """Publish and return (offset, epoch); (0, "") for a channel without history."""
        result = await self.call("publish", channel=channel, data=data)
        return whole_at(result, "offset"), text_at(result, "epoch")


@dataclass
class Publisher:
    """Record of a steady publisher: confirmed publications, and attempts with an unknown outcome."""

    channels: tuple[str, ...]
    published: list[Published] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)
    """(sequence, error) of unconfirmed publications, which may have been published or not."""
    sequence: int = 0
    longest_wait: float = 0.0
    """The most seconds between two confirmations, or from the start to the first one."""
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _confirmed: asyncio.Event = field(default_factory=asyncio.Event)

    async def publish_one(self, api: ServerApi) -> None:
        """Publish the next number to the next of the channels in turn."""
        self.sequence += 1
        sequence, channel = self.sequence, self.channels[self.sequence % len(self.channels)]
        data: JsonObject = {"sequence": sequence, "at": time.time()}
        try:
            offset, epoch = await api.publish(channel, data)
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            self.failed.append((sequence, repr(error)))
        else:
            self.published.append(Published(channel, sequence, offset, epoch))
            self._confirmed.set()

    async def run(self, api: ServerApi, per_second: float) -> None:
        """Publish at a steady rate, one at a time so that the order is known, until stopped."""
        start = confirmed = time.monotonic()
        turn = 0
        try:
            while not self._stopping.is_set():
                before = len(self.published)
                await self.publish_one(api)
                turn += 1
                if len(self.published) > before:
                    now = time.monotonic()
                    self.longest_wait, confirmed = max(self.longest_wait, now - confirmed), now
                await asyncio.sleep(max(0.0, start + turn / per_second - time.monotonic()))
        finally:
            self._stopped.set()

    async def confirm_more(self, number: int, *, within: float) -> None:
        """Wait until `number` further publications are confirmed; raises TimeoutError after `within` seconds."""
        wanted = len(self.published) + number
        async with asyncio.timeout(within):
            while len(self.published) < wanted:
                self._confirmed.clear()
                await self._confirmed.wait()

    async def stop(self) -> None:
        """Stop after the pending publication, and wait for its outcome."""
        self._stopping.set()
        await self._stopped.wait()


@contextlib.asynccontextmanager
async def publishing(api: ServerApi, *channels: str, per_second: float = 50) -> AsyncIterator[Publisher]:
    """Publish at a steady rate to the channels in turn while the body runs."""
    publisher = Publisher(channels)
    task = asyncio.create_task(publisher.run(api, per_second), name="publisher")
    try:
        yield publisher
        await publisher.stop()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
