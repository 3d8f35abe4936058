"""JSON and Protobuf in the same channels, pings of WebSocket, and invalid messages."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from realtime_operator.api.base import JsonObject
from realtime_server.protocols.centrifuge import client_pb2 as pb
from realtime_server.protocols.centrifuge.varint import delimited, split_delimited
from tests.component.sdk.conftest import SDKS, Sdk
from tests.kit.clients import Channel, all_subscribed
from tests.kit.document import object_at, parse
from tests.kit.redis_process import RedisProcess
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

SECONDS = 5


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pinging(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a server that pings each second."""
    heartbeat: JsonObject = {"interval_seconds": 1, "timeout_seconds": 0.9}
    async with ServerProcess("pinging", redis, heartbeat=heartbeat) as process:
        yield process


def opened(server: ServerProcess, query: str = "", *subprotocols: str) -> connect:
    """Open a WebSocket to the server."""
    url = server.url + query
    return connect(url, ping_interval=None, proxy=None, subprotocols=[Subprotocol(one) for one in subprotocols] or None)


async def let_in(client: ClientConnection) -> pb.ConnectResult:
    """Send a connect command in Protobuf; return the result."""
    token = connection_token(TOKEN_SECRET, "user-0")
    await client.send(delimited(pb.Command(id=1, connect={"token": token}).SerializeToString()))
    return (await replies(client))[0].connect


async def replies(client: ClientConnection) -> list[pb.Reply]:
    """Return the replies of the next message."""
    async with asyncio.timeout(SECONDS):
        message = await client.recv()
    assert isinstance(message, bytes)
    return [pb.Reply.FromString(one) for one in split_delimited(message)]


async def closed_with(client: ClientConnection) -> int:
    """Return the code with which the server closes the connection."""
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(SECONDS):
            while True:
                await client.recv()
    assert client.close_code is not None
    return client.close_code


async def test_all_sdks_share_a_channel(shared_server: ServerProcess, room: Channel) -> None:
    """All clients get the same JSON with the same offset, whoever publishes."""
    async with contextlib.AsyncExitStack() as stack:
        groups = [await stack.enter_async_context(sdk(shared_server.url, channels=[room])) for sdk in SDKS]
        for group in groups:
            await all_subscribed(group)
        for number, group in enumerate(groups):
            await group.call(0, "publish", channel=room.name, data={"from": number, "sign": "\u2603"})
        for group in groups:
            await group.record.wait(lambda r: len(r.publications()) == len(groups), what="all publications")
            got = [(p.offset, p.data) for p in group.record.publications()]
            assert got == [(number + 1, {"from": number, "sign": "\u2603"}) for number in range(len(groups))]


async def test_bytes_that_are_no_json_reach_json_clients_in_base64(shared_server: ServerProcess, room: Channel) -> None:
    """Protobuf clients get the bytes unchanged, and both connections stay."""
    json_sdk, protobuf_sdk = SDKS[0], SDKS[2]
    async with (
        json_sdk(shared_server.url, channels=[room]) as texts,
        protobuf_sdk(shared_server.url, channels=[room]) as bytes_,
        opened(shared_server, "?format=protobuf") as client,
    ):
        await all_subscribed(texts)
        await all_subscribed(bytes_)
        await let_in(client)
        for command in (
            pb.Command(id=2, subscribe={"channel": room.name}),
            pb.Command(id=3, publish={"channel": room.name, "data": b"\xff\x00"}),
        ):
            await client.send(delimited(command.SerializeToString()))
        await texts.record.wait(lambda r: len(r.publications()) == 1, what="the publication")
        await bytes_.record.wait(lambda r: len(r.publications()) == 1, what="the publication")
        assert texts.record.publications()[0].data == "/wA="
        assert bytes_.record.publications()[0].data == {"base64": "/wA="}
        assert (texts.record.connected, bytes_.record.connected) == ({0}, {0})


@pytest.mark.parametrize(
    ("query", "subprotocols"),
    [("?format=protobuf", ()), ("?cf_protocol=protobuf", ()), ("", ("centrifuge-protobuf",))],
)
async def test_protobuf_is_chosen_by_url_or_subprotocol(
    shared_server: ServerProcess, query: str, subprotocols: tuple[str, ...]
) -> None:
    """The subprotocol is confirmed."""
    async with opened(shared_server, query, *subprotocols) as client:
        result = await let_in(client)
        assert (result.ping, result.pong) == (25, True)
        assert client.subprotocol == (subprotocols[0] if subprotocols else None)


async def test_pings_of_the_protocol_in_protobuf(pinging: ServerProcess) -> None:
    """A ping is an empty reply; without an empty command as the answer the code is 3012."""
    async with opened(pinging, "?format=protobuf") as client:
        await let_in(client)
        for _ in range(3):
            assert await replies(client) == [pb.Reply()]
            await client.send(delimited(b""))
        assert await replies(client) == [pb.Reply()]
        assert await closed_with(client) == 3012


@pytest.mark.parametrize("query", ["?cf_ws_frame_ping_pong=true", "?cf_ws_frame_ping_pong=true&format=protobuf"])
async def test_pings_of_websocket_are_answered_by_any_client(pinging: ServerProcess, query: str) -> None:
    """There are no ping messages; a client without pong frames is disconnected with 3012."""
    async with opened(pinging, query) as client:
        if "protobuf" in query:
            result = await let_in(client)
            assert (result.ping, result.pong) == (0, False)
        else:
            await client.send(f'{{"id":1,"connect":{{"token":"{connection_token(TOKEN_SECRET, "user-0")}"}}}}')
            reply = object_at(parse(str(await client.recv())), "connect")
            assert "ping" not in reply
            assert reply["pong"] is False
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await client.recv()
        client.transport.pause_reading()  # from now on the library does not answer
        await asyncio.sleep(3)
        client.transport.resume_reading()
        assert await closed_with(client) == 3012


async def test_sdks_stay_with_pings_of_websocket(sdk: Sdk, pinging: ServerProcess) -> None:
    """They are told of no ping, and so expect none."""
    channel = Channel(f"open:{uuid.uuid4()}")
    async with sdk(f"{pinging.url}?cf_ws_frame_ping_pong=true", channels=[channel]) as clients:
        await all_subscribed(clients)
        await asyncio.sleep(3.5)
        assert clients.record.lost_connections() == []
        await clients.call(0, "publish", channel=channel.name, data=1)


async def test_a_protobuf_command_that_can_be_told_apart_fails_alone(shared_server: ServerProcess) -> None:
    """A channel that is not UTF-8 gets error 107; commands before and after it are answered."""
    broken = b"\x08\x03\x2a\x03\x0a\x01\xff"
    before, after = (pb.Command(id=number, rpc={}).SerializeToString() for number in (2, 4))
    async with opened(shared_server, "?format=protobuf") as client:
        await let_in(client)
        await client.send(b"".join(map(delimited, (before, broken, after))))
        answers: list[pb.Reply] = []
        while len(answers) < 3:
            answers += await replies(client)
        assert [(answer.id, answer.error.code) for answer in answers] == [(2, 108), (3, 107), (4, 108)]


WRONG: Mapping[str, tuple[str | bytes, int]] = {
    "text": ("{}", 3506),
    "empty": (b"", 3501),
    "cut off": (b"\x05\x08", 3501),
    "a length without end": (b"\xff" * 12, 3501),
    "JSON in a binary frame": (b'{"id":1,"connect":{}}', 3501),
    "a command without id": (delimited(pb.Command(connect={}).SerializeToString()), 3501),
    "not connect": (delimited(pb.Command(id=1, subscribe={"channel": "open:a"}).SerializeToString()), 3501),
    "a pong that nobody asked for": (b"\x00", 3501),
    "a ping": (delimited(pb.Command(id=1, ping={}).SerializeToString()), 3501),
}


@pytest.mark.parametrize(("message", "code"), WRONG.values(), ids=WRONG.keys())
async def test_what_is_no_protobuf_command_ends_the_connection(
    shared_server: ServerProcess, message: str | bytes, code: int
) -> None:
    """The code is final, since the client would repeat the message."""
    async with opened(shared_server, "?format=protobuf") as client:
        await client.send(message)
        assert await closed_with(client) == code
