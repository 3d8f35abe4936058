"""permessage-deflate with clients that negotiate it: the stock SDKs, and the `websockets` library."""

from __future__ import annotations

import asyncio
import json
import uuid
import zlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import ClientConnection, connect
from websockets.extensions.permessage_deflate import PerMessageDeflate

from realtime_operator.api.base import JsonObject, JsonValue
from tests.component.sdk.conftest import SDKS, Sdk
from tests.kit.clients import Channel, all_subscribed
from tests.kit.document import dig, parse
from tests.kit.raw_client import TEXT, UPGRADE, frame, raw_stream, request
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")

THRESHOLD = 1024
SECONDS = 5
LONG: JsonValue = [{"symbol": "BTCUSD", "price": number / 7, "side": "buy"} for number in range(500)]
SHORT: JsonValue = {"n": 1}
BIDIRECTIONAL = [sdk for sdk in SDKS if sdk.transport == "websocket"]
TOKEN = connection_token(TOKEN_SECRET, "user-0")
OFFER = {**UPGRADE, "Sec-WebSocket-Extensions": "permessage-deflate"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def compressing() -> AsyncIterator[ServerProcess]:
    """Start a server that compresses messages of at least 1,024 bytes."""
    settings: JsonObject = {"enabled": True, "threshold_bytes": THRESHOLD}
    async with ServerProcess("compressing", None, compression=settings) as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain() -> AsyncIterator[ServerProcess]:
    """Start a server with the default settings."""
    async with ServerProcess("plain", None) as process:
        yield process


@pytest.fixture
def room() -> Channel:
    """Return a channel that no other test uses."""
    return Channel(f"chat:{uuid.uuid4()}", recoverable=True)


async def bytes_sent(server: ServerProcess) -> float:
    """Return the number of bytes that the server has sent to its clients."""
    families = text_string_to_metric_families(await server.metrics())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == "realtime_server_bytes_sent_total"
    )


@pytest.mark.parametrize("sdk", BIDIRECTIONAL, ids=lambda sdk: sdk.name)
async def test_sdks_see_what_was_published(compressing: ServerProcess, room: Channel, sdk: Sdk) -> None:
    """Long and short messages and recovered ones arrive, and far fewer bytes are sent."""
    async with sdk(compressing.url, count=2, channels=[room]) as clients, compressing.api() as api:
        await all_subscribed(clients)
        before = await bytes_sent(compressing)
        await api.publish(room.name, LONG)
        await clients.call(0, "publish", channel=room.name, data=LONG)
        await clients.call(1, "publish", channel=room.name, data=SHORT)
        await clients.record.wait(lambda r: len(r.publications()) == 6, what="all publications")
        assert [p.data for p in clients.record.publications() if p.client == 0] == [LONG, LONG, SHORT]
        assert [p.data for p in clients.record.publications() if p.client == 1] == [LONG, LONG, SHORT]
        assert await bytes_sent(compressing) - before < len(json.dumps(LONG))
        history = await clients.call(0, "history", channel=room.name, limit=10)
        assert [dig(one, "data") for one in _list(history["publications"])] == [LONG, LONG, SHORT]


def _list(value: JsonValue) -> list[JsonObject]:
    assert isinstance(value, list)
    return [one for one in value if isinstance(one, dict)]


@pytest.mark.parametrize(
    "sdk", [sdk for sdk in BIDIRECTIONAL if sdk.name.startswith("javascript")], ids=lambda s: s.name
)
async def test_the_javascript_sdk_negotiates(
    compressing: ServerProcess, plain: ServerProcess, room: Channel, sdk: Sdk
) -> None:
    """The SDK negotiates by default, and works without compression too."""
    async with sdk(compressing.url, plain.url, count=2, channels=[room]) as clients:
        await all_subscribed(clients)
        assert await clients.call(0, "extensions") == {"extensions": "permessage-deflate"}
        assert await clients.call(1, "extensions") == {"extensions": ""}


async def opened(client: ClientConnection, channel: str) -> None:
    """Connect and subscribe."""
    for number, command in enumerate(({"connect": {"token": TOKEN}}, {"subscribe": {"channel": channel}}), 1):
        await client.send(json.dumps({"id": number, **command}))
        assert "error" not in parse(str(await client.recv()))


async def test_the_librarys_client(compressing: ServerProcess, plain: ServerProcess, room: Channel) -> None:
    """The client sends compressed commands too."""
    async with (
        asyncio.timeout(SECONDS),
        connect(compressing.url, proxy=None) as one,
        connect(plain.url, proxy=None) as other,
        connect(compressing.url, proxy=None, compression=None) as third,
    ):
        (negotiated,) = one.protocol.extensions
        assert isinstance(negotiated, PerMessageDeflate)
        assert (negotiated.remote_no_context_takeover, negotiated.local_no_context_takeover) == (True, True)
        assert (other.protocol.extensions, third.protocol.extensions) == ([], [])
        await opened(one, room.name)
        await opened(third, room.name)
        await one.send(json.dumps({"id": 3, "publish": {"channel": room.name, "data": LONG}}))
        assert dig(parse(str(await third.recv())), "push", "pub", "data") == LONG
        assert dig(parse(str(await one.recv())), "push", "pub", "data") == LONG


async def test_everybody_gets_the_same_frame(compressing: ServerProcess, room: Channel) -> None:
    """A message above the threshold is one compressed frame, the same for all."""
    async with raw_stream(compressing.client_port) as one, raw_stream(compressing.client_port) as other:
        for stream in (one, other):
            await stream.send(request(headers=OFFER))
            status, headers = await stream.response()
            assert (status, headers["sec-websocket-extensions"]) == (
                101,
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
            )
            for number, command in enumerate(({"connect": {"token": TOKEN}}, {"subscribe": {"channel": room.name}}), 1):
                await stream.send(frame(TEXT, json.dumps({"id": number, **command}).encode()))
                assert (await stream.frame())[0] == TEXT
        async with compressing.api() as api:
            await api.publish(room.name, LONG)
            await api.publish(room.name, SHORT)
        seen = [[await stream.frame() for _ in range(2)] for stream in (one, other)]
        assert seen[0] == seen[1]
        assert [first for first, _ in seen[0]] == [0xC1, 0x81]


async def test_a_bomb_ends_the_connection(compressing: ServerProcess) -> None:
    """The code is 1009, and decompression takes no more memory than a message may."""
    async with raw_stream(compressing.client_port) as stream:
        await stream.send(request(headers=OFFER))
        await stream.response()
        await stream.send(frame(0xC1, bomb()))
        assert await stream.closed() == (1009, "message too big")


def bomb() -> bytes:
    """Return 50 MB of spaces, compressed to 50 kB."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(b" " * 50_000_000) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]
