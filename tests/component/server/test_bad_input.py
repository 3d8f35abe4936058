"""Invalid input of every kind: the client is told the fault, it is counted, and no other client is affected.

Every test runs within `Watch.counts`, which compares all error counters: one count too many fails as does one too few.
"""

from __future__ import annotations

import json

import aiohttp
import pytest

from realtime_operator.api.base import JsonObject
from tests.component.server.watch import CHANNEL, LEFT, MEBIBYTE, TOKEN, Counts, Watch, error, resident
from tests.kit.document import dig, object_at, parse
from tests.kit.raw_client import TEXT, frame, raw_client, raw_stream
from tests.kit.server_process import TOKEN_SECRET
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")

BAD_REQUEST = (3501, "bad request")
FRAME_BYTES = 65_536 + 32_768 + 129 * 2048
"""Size of the largest frame of a server with the default limits."""
BURST = 10 * 100 + 128 + 1
"""Number of messages that one connection may send at once by default."""
TOO_BIG = "message too big"


# messages


def nested(depth: int) -> str:
    """Return a document that is legal except for its depth."""
    return '{"id":3,"publish":{"channel":"open:a","data":' + "[" * depth + "]" * depth + "}}"


MALFORMED: dict[str, str | bytes] = {
    "nothing": "",
    "line feeds": "\n\n\n",
    "text": "hello",
    "half of it": '{"id":3,"publish":{"channel"',
    "two in one line": '{"id":3}{"id":4}',
    "the second line": '{"id":3,"rpc":{}}\nhello',
    "byte order mark": '\ufeff{"id":3}',
    "a list": "[]",
    "a number": "1",
    "null": "null",
    "id a string": '{"id":"3","rpc":{}}',
    "id true": '{"id":true,"rpc":{}}',
    "id a fraction": '{"id":1.5,"rpc":{}}',
    "id negative": '{"id":-1,"rpc":{}}',
    "id 0": '{"rpc":{}}',
    "id above 32 bits": '{"id":4294967296,"rpc":{}}',
    "id above 64 bits": '{"id":18446744073709551616,"rpc":{}}',
    "id of 5000 digits": '{"id":1' + "0" * 5000 + ',"rpc":{}}',
    "second connect": json.dumps({"id": 3, "connect": {"token": TOKEN}}),
    "ping": '{"id":3,"ping":{}}',
    "a pong that nobody asked for": "{}",
}


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_message_ends_the_connection(watch: Watch, message: str | bytes) -> None:
    """The code is 3501, once, whatever the client sends afterwards."""
    async with watch.counts({("disconnects", "3501"): 1}), raw_client(watch.server.url) as client:
        await client.connect(TOKEN)
        await client.say(message)
        await client.say(message)
        assert await client.closed() == BAD_REQUEST


SPOILED = {
    "NaN": '{"id":3,"publish":{"channel":"open:a","data":NaN}}',
    "half a surrogate pair in a name": '{"id":3,"subscribe":{"channel":"open:\\ud800"}}',
    "nested too deeply": nested(20_000),
    "an unknown field nested too deeply": '{"id":3,"what":' + "[" * 20_000 + "]" * 20_000 + "}",
    "params a list": '{"id":3,"subscribe":[]}',
    "params a string": '{"id":3,"subscribe":"open:a"}',
    "channel a number": '{"id":3,"subscribe":{"channel":1}}',
    "channel null": '{"id":3,"subscribe":{"channel":null}}',
    "offset a string": '{"id":3,"subscribe":{"channel":"feed:a","offset":"1"}}',
    "recover a number": '{"id":3,"subscribe":{"channel":"feed:a","recover":1}}',
    "since a list": '{"id":3,"history":{"channel":"feed:a","since":[]}}',
    "half a surrogate pair in data": '{"id":3,"publish":{"channel":"open:a","data":"cut \\ud83d"}}',
    "the id at the end": '{"publish":{"channel":"open:a","data":"\\ud83d"},"id":3}',
    "data that no client publishes": '{"id":3,"rpc":{"method":"a","data":[1,]}}',
}


@pytest.mark.parametrize("command", SPOILED.values(), ids=SPOILED.keys())
async def test_a_command_that_can_be_told_apart_fails_alone(watch: Watch, command: str) -> None:
    """The error is 107; commands before and after it are answered, and the connection stays."""
    async with watch.counts({("command_errors", "107"): 1, **LEFT}), raw_client(watch.server.url) as client:
        await client.connect(TOKEN)
        before, after = ({"id": number, "subscribe": {"channel": f"open:{number}"}} for number in (2, 4))
        await client.say("\n".join((json.dumps(before), command, json.dumps(after))))
        answers = [await client.document() for _ in range(3)]
        assert [answer["id"] for answer in answers] == [2, 3, 4]
        assert answers[1]["error"] == error(107, "bad request")
        assert "subscribe" in answers[0]
        assert "subscribe" in answers[2]
        assert "unsubscribe" in await client.command(id=5, unsubscribe={"channel": "open:4"})


async def test_a_command_that_can_be_told_apart_fails_alone_on_a_stream(watch: Watch) -> None:
    """Commands by requests of their own are handled the same; an invalid body is refused without further effect."""
    base = f"http://127.0.0.1:{watch.server.client_port}"
    command = {"id": 1, "connect": {"token": TOKEN}}
    async with (
        watch.counts({("command_errors", "107"): 1, ("handshakes_rejected", "malformed"): 1, **LEFT}),
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session,
        session.post(f"{base}/connection/http_stream", json=command) as stream,
    ):
        reply = object_at(parse(await stream.content.readline()), "connect")
        lines = (
            '{"id":2,"subscribe":{"channel":"open:2"}}', '{"id":3,"publish":{"channel":"open:2","data":"\\ud83d"}}',
            '{"id":4,"subscribe":{"channel":"open:4"}}',
        )  # fmt: skip
        sent = {"session": reply["session"], "node": reply["node"], "data": "\n".join(lines)}
        async with session.post(f"{base}/emulation", data=json.dumps(sent) + "}") as refused:
            assert refused.status == 400
        async with session.post(f"{base}/emulation", json=sent) as taken:
            assert taken.status == 204
        answers = [parse(await stream.content.readline()) for _ in range(3)]
        assert [(answer["id"], dig(answer, "error", "code")) for answer in answers] == [(2, None), (3, 107), (4, None)]


async def test_a_malformed_connect_may_be_sent_again(watch: Watch) -> None:
    """The error is 107, the client is not admitted, and commands sent along are dropped."""
    async with watch.counts({("command_errors", "107"): 1, **LEFT}), raw_client(watch.server.url) as client:
        await client.say('{"id":1,"connect":{"token":"","data":NaN}}\n{"id":2,"subscribe":{"channel":"open:a"}}')
        assert await client.document() == {"id": 1, "error": error(107, "bad request")}
        await client.connect(TOKEN)


async def test_a_binary_message_that_is_not_utf8_reaches_nobody(watch: Watch) -> None:
    """As text it would break the connection of every recipient."""
    async with watch.counts({("command_errors", "107"): 1, **LEFT}), raw_client(watch.server.url) as client:
        await client.connect(TOKEN)
        await client.subscribe(CHANNEL)
        await client.say_binary(b'{"id":3,"publish":{"channel":"%b","data":"\xff"}}' % CHANNEL.encode())
        assert await client.document() == {"id": 3, "error": error(107, "bad request")}


BEFORE_CONNECT = {
    "subscribe": '{"id":1,"subscribe":{"channel":"open:a"}}',
    "send": '{"send":{"data":{}}}',
    "pong": "{}",
    "nothing known": '{"id":1,"what":{}}',
    "not JSON": "hello",
}


@pytest.mark.parametrize("message", BEFORE_CONNECT.values(), ids=BEFORE_CONNECT.keys())
async def test_connect_comes_first(watch: Watch, message: str) -> None:
    """The code is 3501, and commands sent along are not executed."""
    async with watch.counts({("disconnects", "3501"): 1}), raw_client(watch.server.url) as client:
        await client.say(message + "\n" + json.dumps({"id": 2, "connect": {"token": TOKEN}}))
        assert await client.closed() == BAD_REQUEST


# commands

UNKNOWN_CHANNEL = error(102, "unknown channel")
DENIED = error(103, "permission denied")
NOT_AVAILABLE = error(108, "not available")
WRONG_COMMANDS: dict[str, tuple[JsonObject, JsonObject]] = {
    "unknown method": ({"what": {}}, error(104, "method not found")),
    "no method": ({}, error(104, "method not found")),
    "method null": ({"subscribe": None}, error(104, "method not found")),
    "rpc": ({"rpc": {"method": "a"}}, NOT_AVAILABLE),
    "unknown namespace": ({"subscribe": {"channel": "nowhere:a"}}, UNKNOWN_CHANNEL),
    "no channel": ({"subscribe": {}}, UNKNOWN_CHANNEL),
    "channel too long": ({"subscribe": {"channel": "open:" + "a" * 251}}, UNKNOWN_CHANNEL),
    "channel too long in bytes": ({"subscribe": {"channel": "open:" + "ä" * 126}}, UNKNOWN_CHANNEL),
    "channel of 60,000 bytes": ({"subscribe": {"channel": "open:" + "a" * 60_000}}, UNKNOWN_CHANNEL),
    "private channel": ({"subscribe": {"channel": "$open:a"}}, DENIED),
    "other type of subscription": ({"subscribe": {"channel": "open:a", "type": 1}}, NOT_AVAILABLE),
    "a filter of publications": (
        {"subscribe": {"channel": "open:a", "tf": {"op": "not"}}},
        NOT_AVAILABLE,
    ),
    "other type of publication": ({"publish": {"channel": "open:a", "data": 1, "type": 1}}, NOT_AVAILABLE),
    "publication with a key": ({"publish": {"channel": "open:a", "data": 1, "key": "a"}}, NOT_AVAILABLE),
    "other type of sub_refresh": ({"sub_refresh": {"channel": "open:a", "type": 1}}, NOT_AVAILABLE),
    "sub_refresh of no subscription": ({"sub_refresh": {"channel": "open:a", "token": "a"}}, DENIED),
    "publish nowhere": ({"publish": {"channel": "nowhere:a", "data": 1}}, UNKNOWN_CHANNEL),
    "publish where nobody may": ({"publish": {"channel": "feed:a", "data": 1}}, DENIED),
    "publish without a subscription": ({"publish": {"channel": CHANNEL, "data": 1}}, DENIED),
    "publish nothing": ({"publish": {"channel": "open:a"}}, error(107, "bad request")),
    "history of others": ({"history": {"channel": CHANNEL, "limit": 10}}, DENIED),
    "presence of others": ({"presence": {"channel": CHANNEL}}, DENIED),
    "refresh without a token": ({"refresh": {}}, error(101, "unauthorized")),
    "refresh with the token of another": (
        {"refresh": {"token": connection_token(TOKEN_SECRET, "bystander")}},
        error(107, "bad request"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("command", "expected"), WRONG_COMMANDS.values(), ids=WRONG_COMMANDS.keys())
async def test_a_wrong_command_is_answered_with_its_error(
    watch: Watch, command: JsonObject, expected: JsonObject
) -> None:
    """The connection stays."""
    counted: Counts = {("command_errors", str(expected["code"])): 1, **LEFT}
    async with watch.counts(counted), raw_client(watch.server.url) as client:
        await client.connect(TOKEN)
        assert await client.command(**{"id": 3, **command}) == {"id": 3, "error": expected}
        await client.subscribe("open:still-here")


@pytest.mark.parametrize("number", [-1, 2**53, 2**64, 2**200], ids=["-1", "2^53", "2^64", "2^200"])
async def test_a_position_that_cannot_be_is_not_recovered(watch: Watch, number: int) -> None:
    """The subscription is made without recovery, whatever the number."""
    async with watch.counts(LEFT), raw_client(watch.server.url) as client:
        await client.connect(TOKEN)
        params: JsonObject = {"channel": "feed:numbers", "recover": True, "offset": number, "epoch": ""}
        reply = await client.command(id=2, subscribe=params)
        assert dig(reply, "subscribe", "was_recovering") is True, reply
        assert dig(reply, "subscribe", "recovered") is None, reply


@pytest.mark.parametrize(
    "token",
    [
        connection_token("another secret that the server does not know", "mallory"),
        "not a token",
        "a.b.c",
        TOKEN[:-5],
        "ä" * 1000,
        connection_token(TOKEN_SECRET, "mallory", channels=1),
    ],
    ids=["signature", "text", "dots", "cut off", "not ASCII", "channels a number"],
)
async def test_an_invalid_token_ends_the_connection(watch: Watch, token: str) -> None:
    """The code is 3500, after which no SDK reconnects."""
    async with watch.counts({("disconnects", "3500"): 1}), raw_client(watch.server.url) as client:
        await client.say(json.dumps({"id": 1, "connect": {"token": token}}))
        assert await client.closed() == (3500, "invalid token")


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (connection_token(TOKEN_SECRET, "mallory", lifetime=-60), error(109, "token expired") | {"temporary": True}),
        ("", error(101, "unauthorized")),
    ],
    ids=["expired", "none"],
)
async def test_a_refused_connect_may_be_tried_again(watch: Watch, token: str, expected: JsonObject) -> None:
    """An expired token is an error, so that the client can send a new one."""
    counted: Counts = {("command_errors", str(expected["code"])): 1, **LEFT}
    async with watch.counts(counted), raw_client(watch.server.url) as client:
        assert await client.command(id=1, connect={"token": token}) == {"id": 1, "error": expected}
        await client.connect(TOKEN)


# frames

FRAMES: dict[str, tuple[bytes, int, str]] = {
    "unmasked": (frame(TEXT, b"{}", masked=False), 1002, "incorrect masking"),
    "reserved bit 1": (frame(0xC1, b"{}"), 1002, "reserved bits must be 0"),
    "reserved bit 2": (frame(0xA1, b"{}"), 1002, "reserved bits must be 0"),
    "reserved bit 3": (frame(0x91, b"{}"), 1002, "reserved bits must be 0"),
    "bad opcode": (frame(0x83, b"{}"), 1002, "invalid opcode"),
    "bad control opcode": (frame(0x8B, b""), 1002, "invalid opcode"),
    "fragmented ping": (frame(0x09, b""), 1002, "fragmented control frame"),
    "long ping": (frame(0x89, b"a" * 126), 1002, "control frame too long"),
    "continuation of nothing": (frame(0x80, b"{}"), 1002, "unexpected continuation"),
    "text within a text": (frame(0x01, b"{") + frame(TEXT, b"}"), 1002, "expected continuation"),
    "close of one byte": (frame(0x88, b"\x03"), 1002, "close frame too short"),
    "close with a code that cannot be sent": (frame(0x88, (1005).to_bytes(2, "big")), 1002, "invalid status code"),
    "close with a reason that is not UTF-8": (frame(0x88, b"\x03\xe8\xff"), 1007, "invalid UTF-8"),
    "not UTF-8": (frame(TEXT, b'{"id":3,"rpc":{"method":"\xff"}}'), 1007, "invalid UTF-8"),
    "not UTF-8 in fragments": (frame(0x01, b"\xe2\x82") + frame(0x80, b"\xff"), 1007, "invalid UTF-8"),
    "too long by its header": (b"\x81\xff\x7f" + b"\xff" * 7, 1009, TOO_BIG),
    "too long by one byte": (frame(TEXT, b"a" * (FRAME_BYTES + 1)), 1009, TOO_BIG),
    "too long in fragments": (frame(0x01, b"a" * 200_000) + frame(0x80, b"a" * 200_000), 1009, TOO_BIG),
}  # fmt: skip


@pytest.mark.parametrize("connected", [True, False], ids=["session", "no session"])
@pytest.mark.parametrize(("data", "code", "reason"), FRAMES.values(), ids=FRAMES.keys())
async def test_a_frame_that_breaks_the_protocol_ends_the_connection(
    watch: Watch, data: bytes, code: int, reason: str, connected: bool
) -> None:
    """The code is WebSocket's own, once, even if more such frames follow."""
    async with watch.counts({("disconnects", str(code)): 1}), raw_stream(watch.server.client_port) as stream:
        await (stream.connect(TOKEN) if connected else stream.handshake())
        await stream.send(data)
        await stream.send(data)
        assert await stream.closed() == (code, reason)


async def test_bad_frames_after_the_close_are_not_counted(watch: Watch) -> None:
    """A connection is closed for one reason."""
    async with watch.counts({("disconnects", "3501"): 1}), raw_stream(watch.server.client_port) as stream:
        await stream.connect(TOKEN)
        await stream.send(frame(TEXT, b"hello") + frame(0x83, b"{}") + frame(0x83, b"{}"))
        assert await stream.closed() == BAD_REQUEST


async def test_a_message_of_many_reads_is_too_big_once(watch: Watch) -> None:
    """It is counted once, also when the client sends all of it."""
    async with watch.counts({("disconnects", "1009"): 1}), raw_stream(watch.server.client_port) as stream:
        await stream.connect(TOKEN)
        await stream.send(frame(TEXT, b" " * 4 * MEBIBYTE))
        assert await stream.closed() == (1009, TOO_BIG)


async def test_the_largest_message_is_taken(watch: Watch) -> None:
    """65,536 bytes are within the limit."""
    async with watch.counts({("command_errors", "104"): 1, **LEFT}), raw_client(watch.server.url) as client:
        await client.connect(TOKEN)
        await client.say('{"id":3}' + " " * (65_536 - 8))
        assert await client.reply(3) == {"id": 3, "error": error(104, "method not found")}


async def test_empty_fragments_take_no_memory(watch: Watch) -> None:
    """A message of endless empty fragments takes no memory."""
    async with watch.counts(LEFT):
        before = resident(watch.server)
        async with raw_stream(watch.server.client_port) as stream:
            await stream.connect(TOKEN)
            await stream.send(frame(0x01, b""))
            for _ in range(40):
                await stream.send(frame(0x00, b"") * 10_000)
            await stream.send(frame(0x89, b"done"))
            assert await stream.frame() == (0x8A, b"done")
            assert resident(watch.server) - before < MEBIBYTE


# floods


async def test_subscriptions_above_the_limit_take_no_memory(fast: Watch) -> None:
    """Of 100,000 subscriptions of one connection 128 are made; the others are refused and leave nothing behind."""
    total, limit, batch = 100_000, 128, 500
    expected: Counts = {("command_errors", "106"): total - limit, **LEFT}
    async with fast.counts(expected), raw_client(fast.server.url) as client:
        await client.connect(TOKEN)
        before = resident(fast.server)
        refused = 0
        for first in range(2, 2 + total, batch):
            numbers = range(first, first + batch)
            await client.say("\n".join(f'{{"id":{n},"subscribe":{{"channel":"open:{n}"}}}}' for n in numbers))
            for number in numbers:
                reply = await client.reply(number)
                refused += reply.get("error") == error(106, "limit exceeded")
        assert refused == total - limit
        assert await fast.gauge("channels") == await fast.gauge("subscriptions") == limit + 1
        assert resident(fast.server) - before < 8 * MEBIBYTE


async def test_commands_above_the_rate_wait_and_others_do_not(watch: Watch) -> None:
    """A client above its burst is read more slowly, whatever it sends, and takes no memory."""
    async with watch.counts(LEFT), raw_client(watch.server.url) as client:
        await client.connect(TOKEN)
        before = resident(watch.server)
        for _ in range(BURST + 100):
            await client.say('{"send":{"data":{}}}')
        await watch.unharmed()
        assert resident(watch.server) - before < 8 * MEBIBYTE


async def test_commands_of_one_message_are_counted_for_the_rate(watch: Watch) -> None:
    """Above the burst and the waiting commands the code is 3013."""
    async with watch.counts({("disconnects", "3013"): 1}), raw_client(watch.server.url) as client:
        await client.connect(TOKEN)
        await client.say("\n".join('{"send":{"data":{}}}' for _ in range(BURST + 1024 + 128 + 1)))
        assert await client.closed() == (3013, "too many requests")


async def test_commands_that_wait_are_bounded(waiting: Watch) -> None:
    """Above the queue's bound the code is 3013, and waiting commands are dropped."""
    async with waiting.counts({("disconnects", "3013"): 1}), raw_client(waiting.server.url) as client:
        await client.connect(TOKEN)
        await client.say("\n".join(f'{{"id":{number},"what":{{}}}}' for number in range(2, 1200)))
        assert await client.closed() == (3013, "too many requests")


async def test_a_slow_reader_is_disconnected(watch: Watch) -> None:
    """Data beyond its outbox is dropped; a fast reader of the same channel gets everything."""
    data, channel = "a" * 400_000, "open:large"
    async with (
        watch.counts({("disconnects", "3008"): 1, **LEFT}),
        raw_client(watch.server.url) as reader,
        raw_stream(watch.server.client_port, receive_buffer=4096) as slow,
    ):
        await reader.connect(TOKEN)
        await reader.subscribe(channel)
        await slow.connect(TOKEN)
        await slow.subscribe(channel)
        published = 0
        while await watch.gauge("connections") == 3:
            assert published < 100
            await watch.publish(channel, data)
            published += 1
            assert await reader.publication() == data
        assert await slow.closed() == (3008, "slow")
        assert await watch.gauge("outbox_bytes") == 0
