"""Clients that ask for what they missed: by `subscribe` with a position, and by `history`; and for who is there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from realtime_server import codes
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.core.limits.limit import Limit
from realtime_server.core.ports.api import Message
from realtime_server.core.server_api import ServerApi
from tests.kit.server_doubles import SECRET
from tests.kit.tokens import connection_token
from tests.unit.realtime_server.socket_io.world import Client, World

AUTH = {"token": connection_token(SECRET, "ann")}


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    """Start a node."""
    made = World(broker=MemoryBroker(ordered=["rooms"]), channels=3)
    await made.node.start()
    yield made
    await made.node.stop()


class Caller:
    """Client in a namespace, whose events are acknowledged."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._prefix = f"{namespace}," if namespace != "/" else ""

    async def call(self, *event: object) -> tuple[dict[str, object], list[list[object]]]:
        """Return the acknowledgement of an event, and the events that came with it."""
        answers = await self._client.ask(f"42{self._prefix}7{json.dumps(event)}")
        texts = [answer for answer in answers if isinstance(answer, str)]
        [acknowledged] = [text for text in texts if text.startswith(("43", "46"))]
        events = [text.partition(",")[2] if self._prefix else text[2:] for text in texts if text.startswith("42")]
        document = json.loads(acknowledged[acknowledged.index("[") :])[0]
        assert isinstance(document, dict)
        return document, [json.loads(event) for event in events]


async def connected(world: World, namespace: str) -> Caller:
    """Connect as ann."""
    client = world.open()
    prefix = f"{namespace}," if namespace != "/" else ""
    await client.ask(f"40{prefix}{json.dumps(AUTH)}")
    return Caller(client, namespace)


async def publish(world: World, channel: str, *data: object) -> None:
    """Publish by the server API."""
    for each in data:
        await ServerApi(world.node).publish(channel, Message(json.dumps(each).encode()))


def error_in(answer: dict[str, object]) -> tuple[int, str]:
    """Return code and message of an error."""
    error = answer["error"]
    assert isinstance(error, dict)
    return error["code"], error["message"]


@pytest.mark.parametrize(("namespace", "channel"), [("/chat", "chat:a"), ("/rooms", "rooms:a")])
async def test_what_was_missed_comes_with_the_room(world: World, namespace: str, channel: str) -> None:
    """Once and in order; the position is that of the acknowledgement, with and without an order of the namespace."""
    first = await connected(world, namespace)
    joined, events = await first.call("subscribe", "a")
    assert (joined["offset"], events) == (0, [])
    await first.call("unsubscribe", "a")
    await publish(world, channel, ["one", 1], "two")
    again, events = await first.call("subscribe", "a", {"since": joined})
    assert (again["recovered"], again["epoch"], again["offset"]) == (True, joined["epoch"], 0)
    assert [event[:2] for event in events] == [["one", 1], ["message", "two"]]


async def test_the_position_of_the_last_event_tells_what_was_got(world: World) -> None:
    """In an ordered namespace it is the last argument of every event."""
    client = await connected(world, "/rooms")
    joined, _ = await client.call("subscribe", "a")
    _, [event] = await client.call("publish", "a", "one")
    assert event[0] == "one"
    await client.call("unsubscribe", "a")
    await publish(world, "rooms:a", ["two"])
    await publish(world, "rooms:b", ["elsewhere"])
    since = {**joined, "position": event[-1]}
    again, events = await client.call("subscribe", "a", {"since": since})
    assert (again["recovered"], [each[0] for each in events]) == (True, ["two"])
    assert {"offset": again["offset"], "epoch": again["epoch"]} == joined, "what was just sent may yet get lost"


@pytest.mark.parametrize(("namespace", "channel"), [("/chat", "chat:a"), ("/rooms", "rooms:a")])
async def test_a_loss_is_told(world: World, namespace: str, channel: str) -> None:
    """An epoch that is gone, a history that is too short, a room that the client is in already, one without history."""
    client = await connected(world, namespace)
    joined, _ = await client.call("subscribe", "a")
    in_it, _ = await client.call("subscribe", "a", {"since": joined})
    assert in_it == {"recovered": False}
    await client.call("unsubscribe", "a")
    other, events = await client.call("subscribe", "a", {"since": {"offset": 0, "epoch": "other"}})
    assert (other["recovered"], other["epoch"], events) == (False, joined["epoch"], [])
    await client.call("unsubscribe", "a")
    await publish(world, channel, *range(11))
    short, events = await client.call("subscribe", "a", {"since": joined})
    assert (short["recovered"], short["offset"], events) == (False, 11, [])


async def test_a_room_without_history_has_no_position(world: World) -> None:
    client = await connected(world, "/")
    assert await client.call("subscribe", "open:a") == ({}, [])
    answer, _ = await client.call("subscribe", "open:b", {"since": {"offset": 1, "epoch": "x"}})
    assert answer == {"recovered": False}


async def test_more_than_a_reply_may_have_is_not_recovered(world: World) -> None:
    client = await connected(world, "/chat")
    joined, _ = await client.call("subscribe", "a")
    await client.call("unsubscribe", "a")
    await publish(world, "chat:a", *["x" * (world.node.settings.limits.reply_bytes // 9)] * 10)
    answer, events = await client.call("subscribe", "a", {"since": joined})
    assert (answer["recovered"], events) == (False, [])
    assert world.node.counters.limits[Limit.REPLY_BYTES] == 1


@pytest.mark.parametrize(
    ("since", "why"),
    [
        (7, "Expected `object | null`, got `int` - at `$.since`"),
        ({"offset": 1}, "Object missing required field `epoch` - at `$.since`"),
        ({"offset": -1, "epoch": "x"}, "Expected `int` >= 0 - at `$.since.offset`"),
        ({"offset": 2**60, "epoch": "x"}, "Expected `int` <= 9007199254740991 - at `$.since.offset`"),
        ({"offset": 1, "epoch": ""}, "Expected `str` of length >= 1 - at `$.since.epoch`"),
        ({"offset": 1, "epoch": "x", "position": "?"}, "since.position must be the last argument of an event, or null"),
    ],
)
async def test_a_bad_position_is_named(world: World, since: object, why: str) -> None:
    client = await connected(world, "/rooms")
    code, message = error_in((await client.call("subscribe", "a", {"since": since}))[0])
    assert code == codes.BAD_REQUEST.code
    assert message.endswith(why)


async def test_the_history_has_events_with_their_offsets(world: World) -> None:
    """As a client in the room gets them; in an ordered namespace with their position."""
    client = await connected(world, "/chat")
    await client.call("subscribe", "a")
    _, _ = await client.call("publish", "a", "say", "hi")
    await publish(world, "chat:a", 2, 3)
    page, _ = await client.call("history", "a")
    assert page["offset"] == 3
    assert page["publications"] == [
        {"offset": 1, "event": ["say", "hi"], "user": "ann"},
        {"offset": 2, "event": ["message", 2]},
        {"offset": 3, "event": ["message", 3]},
    ]
    newest, _ = await client.call("history", "a", {"limit": 1, "reverse": True})
    assert newest["publications"] == [{"offset": 3, "event": ["message", 3]}]
    since = {"offset": 1, "epoch": page["epoch"]}
    after, _ = await client.call("history", "a", {"since": since, "limit": 1})
    assert after["publications"] == [{"offset": 2, "event": ["message", 2]}]
    position, _ = await client.call("history", "a", {"limit": 0})
    assert position == {"offset": 3, "epoch": page["epoch"], "publications": []}
    ordered = await connected(world, "/rooms")
    await ordered.call("subscribe", "a")
    _, [event] = await ordered.call("publish", "a", "say", "hi")
    found, _ = await ordered.call("history", "a")
    assert found["publications"] == [{"offset": 1, "event": event, "user": "ann"}]


async def test_binary_data_is_attached_to_the_history(world: World) -> None:
    client = world.open()
    await client.connect("/chat", AUTH)
    await client.ask('42/chat,["subscribe","a"]')
    for data in (b"\xff1", b"\xff2"):
        await ServerApi(world.node).publish("chat:a", Message(data, binary=True))
    text, *attached = await client.ask('42/chat,1["history","a"]')
    assert isinstance(text, str)
    assert text.startswith("46")
    assert text[2:].startswith("2-/chat,1[")
    events = [one["event"] for one in json.loads(text[text.index("[") :])[0]["publications"]]
    assert events == [["message", {"_placeholder": True, "num": number}] for number in (0, 1)]
    assert attached == [b"\xff1", b"\xff2"]


async def test_who_is_in_a_room_is_told(world: World) -> None:
    ann = await connected(world, "/chat")
    await ann.call("subscribe", "a")
    answer, _ = await ann.call("presence", "a")
    [session] = world.node.sessions
    assert answer == {"presence": {session.client: {"user": "ann", "client": session.client}}}


@pytest.mark.parametrize(
    ("namespace", "event", "code", "why"),
    [
        ("/chat", ["history", "a"], codes.PERMISSION_DENIED, "permission denied: this client may not read the history"),
        ("/chat", ["presence", "a"], codes.PERMISSION_DENIED, "permission denied: this client may not see who is in"),
        ("/chat", ["history"], codes.BAD_REQUEST, "the first argument of history must be the room"),
        ("/chat", ["history", "a", {"limit": -1}], codes.BAD_REQUEST, "the second argument of history must be like"),
        ("/chat", ["presence", 1], codes.BAD_REQUEST, "the first argument of presence must be the room"),
        ("/", ["history", "no:a"], codes.UNKNOWN_CHANNEL, "the channel's namespace is not defined"),
    ],
)
async def test_a_read_that_is_refused_says_why(
    world: World, namespace: str, event: list[object], code: codes.ErrorCode, why: str
) -> None:
    """The permissions are those of the channel: the client has to be in the room."""
    found, message = error_in((await (await connected(world, namespace)).call(*event))[0])
    assert (found, message[: len(why)]) == (code.code, why)


async def test_a_position_that_is_gone_is_an_error_of_the_history(world: World) -> None:
    client = await connected(world, "/chat")
    await client.call("subscribe", "a")
    answer, _ = await client.call("history", "a", {"since": {"offset": 1, "epoch": "other"}})
    assert error_in(answer)[0] == codes.UNRECOVERABLE_POSITION.code
    without = await connected(world, "/")
    await without.call("subscribe", "open:a")
    for event in ("history", "presence"):
        found = error_in((await without.call(event, "open:a"))[0])
        assert found == (codes.NOT_AVAILABLE.code, f"not available: the channel namespace of the room has no {event}")
