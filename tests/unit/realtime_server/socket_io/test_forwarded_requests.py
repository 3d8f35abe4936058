"""Requests of polling clients at another worker than that of their connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from realtime_server.core.model.errors import TooManyAsksError
from realtime_server.core.ports.api import Message
from realtime_server.core.server_api import ServerApi
from realtime_server.protocols.socket_io.engine_requests import Answer, TransportName
from realtime_server.socket_io import engine_connection
from realtime_server.socket_io.forwarded_requests import ForwardedRequest
from tests.unit.realtime_server.socket_io.world import World, settle, two_workers

OK = Answer(200, b"ok", "text/html")


@dataclass
class Pair:
    """Two workers: one has a connection, the other gets its requests."""

    holder: World
    other: World
    sid: str

    async def poll(self) -> Answer | None:
        """Poll at the other worker."""
        return await self.other.server.forward(self.sid, ForwardedRequest())

    async def post(self, body: bytes, content_type: str = "") -> Answer | None:
        """Send packets at the other worker."""
        return await self.other.server.forward(self.sid, ForwardedRequest(body, content_type))


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """Start two workers that know each other."""
    async with two_workers() as (holder, other):
        yield Pair(holder, other, holder.poll().sid)


async def test_a_client_is_served_whichever_worker_its_requests_reach(pair: Pair) -> None:
    """Events go in, and what is published comes out, in the poll that waits for it."""
    assert await pair.post(b'40\x1e42["subscribe","open:a"]') == OK
    connected = await pair.poll()
    assert connected is not None
    assert connected.body.startswith(b'40{"sid":')
    waiting = asyncio.ensure_future(pair.poll())
    await settle()
    assert not waiting.done()
    await ServerApi(pair.other.node).publish("open:a", Message(b'["x"]'))
    assert await waiting == Answer(200, b'42["x"]', "text/plain; charset=UTF-8")
    assert await pair.post(b"9") == OK
    assert await pair.poll() is None


async def test_a_refused_request_has_the_answer_of_the_holder(pair: Pair) -> None:
    assert await pair.post(b"4", "application/octet-stream") == Answer(400)
    assert await pair.post(b"3") is None


async def test_a_client_that_goes_away_loses_its_connection(pair: Pair) -> None:
    """As with a poll at the holder."""
    await pair.post(b"40")
    await pair.poll()
    waiting = asyncio.ensure_future(pair.poll())
    await settle()
    waiting.cancel()
    await settle()
    assert not pair.holder.node.sessions
    assert pair.holder.server.find(pair.sid) is None


async def test_a_poll_has_no_more_than_an_answer_between_workers(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next ones get the rest."""
    monkeypatch.setattr(engine_connection, "FORWARDED_BYTES", pair.holder.node.asks.answer_bytes - 700_000)
    pair.sid = pair.holder.poll().sid
    await pair.post(b'40\x1e42["subscribe","open:a"]')
    await pair.poll()
    large = b'"%b"' % (b"x" * 400_000)
    for _ in range(2):
        await ServerApi(pair.holder.node).publish("open:a", Message(large))
    await settle()
    found = [await pair.poll() for _ in range(2)]
    assert [answer is not None and answer.body == b'42["message",%b]' % large for answer in found] == [True, True]


async def test_an_id_of_nobody_is_unknown(pair: Pair) -> None:
    """One that names this worker is not passed on; one of a worker that is gone is unknown after a while."""
    server = pair.other.server
    assert server.transport_of("nobody") is None
    assert server.transport_of(f"{pair.other.node.uid}.x") is None
    assert server.transport_of(pair.sid) is TransportName.POLLING
    assert await server.forward(f"{pair.holder.node.uid}.x", ForwardedRequest()) is None
    pair.other.clock.now += 60
    assert await server.forward("gone.x", ForwardedRequest()) is None


async def test_a_worker_that_cannot_be_asked_is_an_error(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clients connect again."""
    monkeypatch.setattr(pair.other.node.asks, "_max_asks", 0)
    with pytest.raises(TooManyAsksError):
        await pair.poll()
