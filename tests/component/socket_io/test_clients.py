"""Stock clients: connecting, events and their acknowledgements, rooms, binary data, the other protocol, the upgrade."""

from __future__ import annotations

import uuid

import pytest

from tests.component.socket_io.conftest import SDKS, Sdk, http_url
from tests.kit.clients import Channel, ClientOptions, all_subscribed
from tests.kit.document import object_at
from tests.kit.python_sdk import PythonClients
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.socket_io import JavaScriptSocketIo, Refused, SocketOptions
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")
NO_HOOK = "the event is for the hook rpc, and there is none"
DENIED = "permission denied: this client may not publish in this room"
TOKEN = connection_token(TOKEN_SECRET, "ann")


def socket(namespace: str = "/", token: str = TOKEN) -> SocketOptions:
    """Return a socket that connects with a token."""
    return SocketOptions(namespace, {"token": token})


async def test_events_rooms_and_binary_data(server: ServerProcess, sdk: Sdk) -> None:
    """Everything that a client does, on every transport."""
    room = uuid.uuid4().hex
    async with sdk(server, socket("/chat"), socket()) as client:
        chat, root = client.records
        await chat.connected()
        await root.connected()
        assert chat.ids != root.ids
        [joined] = await client.emit("subscribe", room)
        assert isinstance(joined, dict)
        assert joined.keys() == {"offset", "epoch"}
        assert await client.emit("subscribe", f"open:{room}", socket=1) == [{}]
        assert await client.emit("publish", room, "greet", {"ä": [1, None]}, "two") == [{}]
        await chat.got(("greet", [{"ä": [1, None]}, "two"]))
        assert await client.emit("publish", f"open:{room}", "message", "hi", socket=1) == [{}]
        await root.got(("message", ["hi"]))
        await client.send("publish", room, "message", b"\x00\xff")
        await chat.got(("message", [b"\x00\xff"]))
        async with server.api() as api:
            await api.publish(f"chat:{room}", ["from", "the", "API"])
            await chat.got(("from", ["the", "API"]))
            await api.call("send", client=chat.ids[0], data=["only", "you"])
            await chat.got(("only", ["you"]))
        assert await client.emit("nobody", 1) == [{"error": {"code": 108, "message": NO_HOOK}}]
        assert await client.emit("unsubscribe", room) == [{}]
        assert await client.emit("publish", room, "x") == [{"error": {"code": 103, "message": DENIED}}]
        assert await client.transport() == sdk.transports[-1]
        await client.disconnect()
        await chat.ended()
        assert chat.ends[0] in {"io client disconnect", "client disconnect"}
    assert root.events == chat.events == []
    assert not chat.refused


async def test_a_client_that_repeats_events_until_they_are_acknowledged(server: ServerProcess) -> None:
    """`retries` of socket.io-client: one event at a time, each once, also those that are refused."""
    room = uuid.uuid4().hex
    token = connection_token(TOKEN_SECRET, "bob", channels=[f"chat:{room}"])
    url = http_url(server)
    async with JavaScriptSocketIo(url, ["websocket"], [socket("/chat", token)], retries=3, ackTimeout=5000) as client:
        [record] = client.records
        await client.send("nobody", 1)
        for number in range(3):
            await client.send("publish", room, "x", number)
        expected: list[tuple[str, list[object]]] = [("x", [number]) for number in range(3)]
        await record.got(*expected)


REFUSALS = (
    (socket("/", "no token"), Refused("invalid token", 3500)),
    (SocketOptions("/chat"), Refused("unauthorized", 101)),
    (socket("/own", connection_token(TOKEN_SECRET, "ann", lifetime=-60)), Refused("token expired", 109)),
    (socket("/none"), Refused("Invalid namespace", None)),
)


@pytest.mark.parametrize(
    ("sdk", "together"), [(SDKS[1], len(REFUSALS)), (SDKS[3], 1)], ids=["javascript-polling", "python-websocket"]
)
async def test_a_refused_client_is_told_why(server: ServerProcess, sdk: Sdk, together: int) -> None:
    """It does not come back by itself; python-socketio has one `auth` for all its sockets."""
    for begin in range(0, len(REFUSALS), together):
        cases = REFUSALS[begin : begin + together]
        async with sdk(server, *(options for options, _ in cases)) as client:
            assert [await record.was_refused() for record in client.records] == [refusal for _, refusal in cases]
            assert not any(record.ids for record in client.records)


@pytest.mark.parametrize("sdk", [SDKS[0], SDKS[4]], ids=lambda sdk: sdk.name)
async def test_clients_of_both_protocols_share_channels(server: ServerProcess, sdk: Sdk) -> None:
    """Each sees what the other publishes, and is present in the same channel."""
    room = uuid.uuid4().hex
    channel = f"chat:{room}"
    token = connection_token(TOKEN_SECRET, "bob", channels=[channel])
    options = ClientOptions(
        endpoints=[server.url], count=1, channels=[Channel(channel)], tokens=[connection_token(TOKEN_SECRET, "cem")]
    )
    async with sdk(server, socket("/chat", token)) as client, PythonClients(options) as others:
        [record] = client.records
        await record.connected()
        await all_subscribed(others)
        await others.call(0, "publish", channel=channel, data={"text": "hi"})
        await record.got(("message", [{"text": "hi"}]))
        assert await client.emit("publish", room, "typing", True) == [{}]
        await record.got(("typing", [True]))
        presence = object_at(await others.call(0, "presence", channel=channel), "clients")
        assert {str(object_at(presence, name)["user"]) for name in presence} == {"bob", "cem"}
        assert record.ids[0] in presence
        await others.record.wait(lambda record: len(record.publications()) == 2, what="both publications")
    assert [event.data for event in others.record.publications()] == [{"text": "hi"}, ["typing", True]]


@pytest.mark.parametrize("sdk", [SDKS[2], SDKS[5]], ids=lambda sdk: sdk.name)
async def test_the_transport_is_upgraded_while_traffic_flows(server: ServerProcess, sdk: Sdk) -> None:
    """No publication is lost or doubled."""
    room = uuid.uuid4().hex
    token = connection_token(TOKEN_SECRET, "bob", channels=[f"chat:{room}"])
    async with server.api() as api, sdk(server, socket("/chat", token)) as client:
        [record] = client.records
        await record.connected()
        count = 0
        while await client.transport() != "websocket" or count < 50:
            await api.publish(f"chat:{room}", count)
            count += 1
            assert count < 5000
        expected: list[tuple[str, list[object]]] = [("message", [number]) for number in range(count)]
        await record.got(*expected)
        assert record.ends == []
