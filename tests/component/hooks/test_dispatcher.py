"""At-least-once delivery of events to the backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import objects_at
from realtime_server.backplane.memory_queue import MemoryEventQueue
from realtime_server.core.ports.backend import ChannelOccupied, ChannelVacated, Disconnected
from realtime_server.core.ports.backplane import EventQueue
from realtime_server.hooks import dispatcher
from realtime_server.hooks.factory import HookClient
from realtime_server.hooks.http_backend import HttpBackend as Hooks
from realtime_server.route_settings import WebSocketRoutes
from realtime_server.settings import Hooks as HookSettings
from tests.kit.deadline import eventually
from tests.kit.http_backend import HttpBackend

GONE = Disconnected("c1", "alice", 3012, "no pong", 61.5)


@asynccontextmanager
async def telling(backend: HttpBackend, queue: EventQueue, **changes: object) -> AsyncIterator[Hooks]:
    """Start a worker that emits all events."""
    events = {"url": backend.url("events"), "timeout_seconds": 0.3, "channels": True, **changes}
    client = HookClient(
        HookSettings.model_validate({"events": events}), WebSocketRoutes(), lambda _name, _size: queue, "worker"
    )
    await client.start()
    try:
        yield client.backend
    finally:
        await client.stop()


def events(backend: HttpBackend) -> list[JsonObject]:
    """Return all events that arrived, in order."""
    return [event for body in backend.bodies("events") for event in objects_at(body, "events")]


async def arrived(backend: HttpBackend, count: int) -> list[JsonObject]:
    """Wait for a number of events."""

    async def read() -> list[JsonObject]:
        return events(backend)

    return await eventually(read, lambda events: len(events) >= count, what="events", within=5, every=0.01)


async def test_events_say_what_happened_and_when() -> None:
    """Each event has an id of its own."""
    async with HttpBackend() as backend, telling(backend, MemoryEventQueue(100)) as hooks:
        assert hooks.watches_channels
        for event in (GONE, ChannelOccupied("chat:a"), ChannelVacated("chat:a")):
            hooks.emit(event)
        events = await arrived(backend, 3)
    assert {len(str(event.pop("id"))) for event in events} == {36}
    assert all(isinstance(event.pop("time"), float) for event in events)
    gone: JsonObject = {"client": "c1", "user": "alice", "code": 3012, "reason": "no pong", "connected_seconds": 61.5}
    assert events == [
        {"type": "disconnect", **gone},
        {"type": "channel_occupied", "channel": "chat:a"},
        {"type": "channel_vacated", "channel": "chat:a"},
    ]


async def test_what_is_not_wanted_is_not_told() -> None:
    """Channels are watched on demand only, since each change is a call to the backplane."""
    queue = MemoryEventQueue(100)
    async with HttpBackend() as backend, telling(backend, queue, channels=False, disconnects=False) as hooks:
        hooks.emit(GONE)
        hooks.emit(ChannelOccupied("chat:a"))
        await asyncio.sleep(0)
        assert (await queue.size(), hooks.watches_channels) == (0, False)


async def test_a_backend_that_is_away_gets_them_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """They arrive in order, without duplicates."""
    monkeypatch.setattr(dispatcher, "RETRY_SECONDS", (0.02, 0.1))
    backend = HttpBackend({"events": lambda _: web.Response(status=503)})
    async with backend, telling(backend, MemoryEventQueue(100)) as hooks:
        for number in range(20):
            hooks.emit(ChannelOccupied(f"chat:{number}"))
        await arrived(backend, 20)
        backend.requests.clear()
        del backend.answers["events"]
        events = await arrived(backend, 20)
    assert [event["channel"] for event in events] == [f"chat:{number}" for number in range(20)]
    assert hooks.events is not None
    assert hooks.events.outcomes["delivered"] == 20


async def test_what_a_worker_leaves_behind_another_delivers() -> None:
    """A worker that stops while the backend is away leaves its events in the queue."""
    queue = MemoryEventQueue(100)
    async with telling(HttpBackend(), queue) as hooks:
        hooks.emit(GONE)
    assert await queue.size() == 1
    async with HttpBackend() as backend, telling(backend, queue):
        assert len(await arrived(backend, 1)) == 1


async def test_over_the_bound_the_oldest_go_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded while the backend is away for long."""
    monkeypatch.setattr(dispatcher, "BUFFERED", 5)
    queue = MemoryEventQueue(100)
    client = HookClient(
        HookSettings.model_validate({"events": {"url": "http://127.0.0.1:1/"}}),
        WebSocketRoutes(),
        lambda _name, _size: queue,
        "worker",
    )
    for _ in range(8):
        client.backend.emit(GONE)
    assert client.backend.events is not None
    assert client.backend.events.outcomes["dropped"] == 3
    await client.stop()
    assert await queue.size() == 5
