"""Each limit of docs/reference/limits.md: the effect on a client that exceeds it, and its metric."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from realtime_operator.api.base import JsonObject
from tests.component.server.watch import HastyServer
from tests.kit.document import dig
from tests.kit.raw_client import TEXT, UPGRADE, RawClient, frame, raw_client, raw_stream, request
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token, subscription_token

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS: JsonObject = {
    "connections_per_user": 2,
    "channels_per_connection": 3,
    "messages_per_second": 50,
    "message_bytes": 32_768,
    "outbox_bytes": 65_536,
}
TOKEN = connection_token(TOKEN_SECRET, "mallory")
LONG = "a" * 40_000
LIMIT_EXCEEDED = {"code": 106, "message": "limit exceeded"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tight() -> AsyncIterator[ServerProcess]:
    """Start a server with small limits and a time limit of one second."""
    async with HastyServer("tight", None, limits=LIMITS) as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def few() -> AsyncIterator[ServerProcess]:
    """Start a server for three connections, and three further sockets."""
    limits: JsonObject = {"connections": 3, "handshakes": 3, "connects_per_second": 1000}
    async with ServerProcess("few", None, limits=limits) as process:
        yield process


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    """Start a Redis that commands wait for."""
    with running_redis() as process:
        yield process


async def exceeded(server: ServerProcess) -> Counter[str]:
    """Return how often each limit was exceeded, over all workers."""
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(await server.metrics()):
        if family.name == "realtime_server_limit_exceeded":
            for sample in family.samples:
                found[sample.labels["limit"]] += int(sample.value)
    return found


@contextlib.asynccontextmanager
async def counts(server: ServerProcess, **expected: int) -> AsyncIterator[None]:
    """Assert that the body exceeds these limits this often, and no other."""
    before = await exceeded(server)
    yield
    changes = await exceeded(server)
    changes.subtract(before)
    assert {limit: count for limit, count in changes.items() if count} == expected


def subscribe(number: int, channel: str, **wanted: object) -> str:
    """Return a subscribe command."""
    return json.dumps({"id": number, "subscribe": {"channel": channel, **wanted}})


# the way in


async def test_connections(few: ServerProcess) -> None:
    """The status is 503, with the time to try again."""
    async with counts(few, connections=1), contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await (await stack.enter_async_context(raw_client(few.url))).connect(TOKEN)
        stream = await stack.enter_async_context(raw_stream(few.client_port))
        await stream.send(request())
        status, headers = await stream.response()
        assert (status, headers["retry-after"]) == (503, "1")


async def test_handshakes(few: ServerProcess) -> None:
    """Sockets above those of connections are closed at once."""
    async with counts(few, handshakes=1), contextlib.AsyncExitStack() as stack:
        for _ in range(6):
            await (await stack.enter_async_context(raw_stream(few.client_port))).send(b"GET /connection/websocket")
        await asyncio.sleep(0.1)
        stream = await stack.enter_async_context(raw_stream(few.client_port))
        await stream.ended()


async def test_handshake_seconds(tight: ServerProcess) -> None:
    """The socket is closed without an answer."""
    async with counts(tight, handshake_seconds=1), raw_stream(tight.client_port) as stream:
        await stream.send(request()[:-2])
        await stream.ended()


async def test_head_bytes(tight: ServerProcess) -> None:
    """The status is 431 or 414."""
    async with counts(tight, head_bytes=2):
        for data, expected in ((request(headers={**UPGRADE, "Cookie": LONG}), 431), (request("/" + LONG), 414)):
            async with raw_stream(tight.client_port) as stream:
                await stream.send(data)
                status, _ = await stream.response()
                assert status == expected


async def test_connect_seconds(tight: ServerProcess) -> None:
    """The code is 3502, since a silent connection takes a place."""
    async with counts(tight, connect_seconds=1), raw_client(tight.url) as client:
        assert await client.closed() == (3502, "stale")


async def test_connects_per_second() -> None:
    """The error 111 is temporary; a client that resumes is admitted where others have to wait."""
    limits: JsonObject = {"connects_per_second": 4}
    async with (
        ServerProcess("slow-door", None, limits=limits) as server,
        counts(server, connects_per_second=1),
        contextlib.AsyncExitStack() as stack,
    ):
        reply: JsonObject = {}
        while "error" not in reply:
            client = await stack.enter_async_context(raw_client(server.url))
            reply = await client.command(id=1, connect={"token": TOKEN})
        assert reply["error"] == {"code": 111, "message": "too many requests", "temporary": True}
        await client.say(f'{{"id":2,"connect":{{"token":"{TOKEN}"}}}}\n{subscribe(3, "feed:a", recover=True)}')
        assert "connect" in await client.reply(2)


async def test_connections_per_user(tight: ServerProcess) -> None:
    """The code 3504 is final."""
    async with counts(tight, connections_per_user=1), raw_client(tight.url) as one, raw_client(tight.url) as two:
        await one.connect(TOKEN)
        await two.connect(TOKEN)
        async with raw_client(tight.url) as three:
            await three.say(json.dumps({"id": 1, "connect": {"token": TOKEN}}))
            assert await three.closed() == (3504, "connection limit")


@pytest.mark.parametrize("token", [f"{TOKEN}{LONG}", connection_token(TOKEN_SECRET, "mallory", info=LONG)])
async def test_token_bytes(tight: ServerProcess, token: str) -> None:
    """The code is 3500 even for a valid token; a subscription token gets error 103."""
    async with counts(tight, token_bytes=1), raw_client(tight.url) as client:
        await client.say(json.dumps({"id": 1, "connect": {"token": token}}))
        assert await client.closed() == (3500, "invalid token")


async def test_token_bytes_of_a_subscription(tight: ServerProcess) -> None:
    """The connection stays."""
    async with counts(tight, token_bytes=1), raw_client(tight.url) as client:
        await client.connect(TOKEN)
        token = subscription_token(TOKEN_SECRET, "mallory", "$open:a", info=LONG)
        await client.say(subscribe(2, "$open:a", token=token))
        assert dig(await client.reply(2), "error", "code") == 103


async def test_info_bytes(tight: ServerProcess) -> None:
    """The code is 3500, because the info goes with everything the client does."""
    async with counts(tight), raw_client(tight.url) as client:
        token = connection_token(TOKEN_SECRET, "mallory", info="a" * 8192)
        await client.say(json.dumps({"id": 1, "connect": {"token": token}}))
        assert await client.closed() == (3500, "invalid token")


# channels


async def test_channels_per_connection(tight: ServerProcess) -> None:
    """The error is 106."""
    async with counts(tight, channels_per_connection=1), raw_client(tight.url) as client:
        await client.connect(TOKEN)
        await client.say("\n".join(subscribe(number, f"open:{number}") for number in range(2, 6)))
        assert await client.reply(5) == {"id": 5, "error": LIMIT_EXCEEDED}


async def test_channels_of_a_token(tight: ServerProcess) -> None:
    """The code is 3505, since the client cannot ask for fewer."""
    async with counts(tight, channels_per_connection=1), raw_client(tight.url) as client:
        token = connection_token(TOKEN_SECRET, "mallory", channels=[f"open:{number}" for number in range(4)])
        await client.say(json.dumps({"id": 1, "connect": {"token": token}}))
        assert await client.closed() == (3505, "channel limit")


async def test_channels_of_the_server_api(tight: ServerProcess) -> None:
    """A client at its maximum is left alone."""
    async with counts(tight, channels_per_connection=1), raw_client(tight.url) as client, tight.api() as api:
        await client.connect(TOKEN)
        await client.say("\n".join(subscribe(number, f"open:{number}") for number in range(2, 5)))
        await client.reply(4)
        await api.call("subscribe", user="mallory", channel="open:9")
        await api.call("publish", channel="open:9", data="not for it")
        await api.call("publish", channel="open:4", data="for it")
        assert await client.publication() == "for it"


async def test_channel_bytes(tight: ServerProcess) -> None:
    """The error is 102."""
    async with counts(tight, channel_bytes=1), raw_client(tight.url) as client:
        await client.connect(TOKEN)
        await client.say(subscribe(2, "open:" + "a" * 251))
        assert dig(await client.reply(2), "error", "code") == 102


# what is said


FRAME_BYTES = 32_768 + 32_768 + 4 * 2048
"""Size of a message, a token, a connect command, and three channels."""


async def test_message_bytes(tight: ServerProcess) -> None:
    """The command that exceeds it gets error 106, alone or among others, and the connection stays."""
    large = json.dumps({"id": 2, "publish": {"channel": "open:a", "data": "a" * 32_768}})
    async with counts(tight, message_bytes=3), raw_client(tight.url) as client:
        await client.connect(TOKEN)
        await client.say(large)
        assert await client.reply(2) == {"id": 2, "error": LIMIT_EXCEEDED}
        await client.say("\n".join([large, json.dumps({"id": 3, "rpc": {}})]))
        assert await client.reply(2) == {"id": 2, "error": LIMIT_EXCEEDED}
        assert dig(await client.reply(3), "error", "code") == 108
        await client.say(json.dumps({"send": {"data": "a" * 32_768}}))
        assert dig(await client.command(id=4, rpc={}), "error", "code") == 108


async def test_a_message_above_the_largest_frame(tight: ServerProcess) -> None:
    """The code is 1009, after which an SDK does not reconnect: it never needs such a frame."""
    async with counts(tight, message_bytes=1), raw_stream(tight.client_port) as stream:
        await stream.connect(TOKEN)
        await stream.send(frame(TEXT, json.dumps({"send": {"data": " " * 30_000}}).encode().ljust(FRAME_BYTES)))
        await stream.send(frame(TEXT, b" " * (FRAME_BYTES + 1)))
        assert await stream.closed() == (1009, "message too big")


def with_token(channel: str, info: int) -> JsonObject:
    """Return a subscribe command whose token contains an info of this size."""
    return {"channel": channel, "token": subscription_token(TOKEN_SECRET, "mallory", channel, info="a" * info)}


async def test_subscription_bytes(tight: ServerProcess) -> None:
    """The error is 106 where a reconnect would not fit into a frame any more, until a channel is given up."""
    async with counts(tight, subscription_bytes=2), raw_client(tight.url) as client:
        await client.connect(TOKEN)
        for number, code in ((2, None), (3, None), (4, 106)):
            reply = await client.command(id=number, subscribe=with_token(f"open:{number}", 1_600))
            assert dig(reply, "error", "code") == code
        await client.command(id=5, unsubscribe={"channel": "open:2"})
        assert "subscribe" in await client.command(id=6, subscribe=with_token("open:4", 1_600))
        reply = await client.command(id=7, sub_refresh=with_token("open:3", 4_000))
        assert dig(reply, "error", "code") == 106


@pytest.mark.parametrize("character", ["\x01", "&", "\u0416"], ids=["control", "html", "cyrillic"])
async def test_subscription_bytes_count_what_sdks_escape(tight: ServerProcess, character: str) -> None:
    """A channel of few bytes may take six times as many in the frame with which a client comes back."""
    name = character * (200 // len(character.encode()))
    async with counts(tight, subscription_bytes=1), raw_client(tight.url) as client:
        await client.connect(TOKEN)
        for number, code in ((2, None), (3, None), (4, 106)):
            request: JsonObject = {"channel": f"open:{number}{name}", "data": "a" * 1_500}
            reply = await client.command(id=number, subscribe=request)
            assert dig(reply, "error", "code") == code


async def test_messages_per_second(tight: ServerProcess) -> None:
    """Messages above ten seconds' worth wait; each command of a message counts."""
    async with counts(tight, messages_per_second=1), raw_client(tight.url) as client:
        await client.connect(TOKEN)
        await client.say("\n".join('{"send":{"data":{}}}' for _ in range(520)))
        assert dig(await client.command(id=2, rpc={}), "error", "code") == 108


async def test_waiting_commands(tight: ServerProcess) -> None:
    """The code is 3013 when one message has more commands than may wait: 1,024 above the rate, and one per channel."""
    async with counts(tight, messages_per_second=1, waiting_commands=1), raw_client(tight.url) as client:
        await client.connect(TOKEN)
        await client.say("\n".join('{"send":{"data":{}}}' for _ in range(504 + 1024 + 3)))
        assert await client.closed() == (3013, "too many requests")


@pytest.mark.parametrize(("commands", "data"), [(1100, 1), (40, "a" * 50_000)], ids=["number", "bytes"])
async def test_who_sends_while_redis_does_not_answer_is_read_no_more(
    redis: RedisProcess, commands: int, data: str | int
) -> None:
    """Reading pauses until Redis answers; then every command is answered."""
    limits: JsonObject = {"messages_per_second": 100_000}
    async with ServerProcess("waits", redis, limits=limits) as server, raw_client(server.url) as client:
        await client.connect(TOKEN)
        async with counts(server):
            redis.freeze()
            try:
                for number in range(2, commands + 2):
                    await client.say(json.dumps({"id": number, "publish": {"channel": "open:a", "data": data}}))
            finally:
                redis.thaw()
            await client.reply(commands + 1)


# what is answered, and delivered


async def filled(server: ServerProcess, channel: str) -> tuple[int, str]:
    """Publish more than a reply may contain; return the last position."""
    async with server.api() as api:
        for _ in range(4):
            position = await api.publish(channel, "a" * 15_000)
    return position


async def test_reply_bytes(tight: ServerProcess) -> None:
    """The error is 106, and the client can ask for less."""
    await filled(tight, "feed:a")
    async with counts(tight, reply_bytes=1), raw_client(tight.url) as client:
        await client.connect(TOKEN)
        await client.subscribe("feed:a")
        reply = await client.command(id=3, history={"channel": "feed:a", "limit": 10})
        assert reply == {"id": 3, "error": LIMIT_EXCEEDED}
        assert "history" in await client.command(id=4, history={"channel": "feed:a", "limit": 1})


async def missed(server: ServerProcess, client: RawClient, channel: str, **wanted: object) -> JsonObject:
    """Return the reply to a subscribe command that has missed more than a reply may contain."""
    _, epoch = await filled(server, channel)
    await client.connect(TOKEN)
    await client.say(subscribe(2, channel, recover=True, epoch=epoch, offset=0, **wanted))
    return await client.reply(2)


async def test_what_was_missed_and_is_too_much_is_not_recovered(tight: ServerProcess) -> None:
    """The client is told so; a disconnect would bring it back with the same request for ever."""
    async with counts(tight, reply_bytes=1), raw_client(tight.url) as client:
        result = dig(await missed(tight, client, "feed:b"), "subscribe")
        assert isinstance(result, dict)
        assert (result["was_recovering"], result.get("recovered"), result.get("publications")) == (True, None, None)
        async with tight.api() as api:
            await api.publish("feed:b", "and on it goes")
        assert await client.publication() == "and on it goes"


async def test_who_would_rather_fail_than_begin_anew_fails(tight: ServerProcess) -> None:
    """The error is 112, as for everything that cannot be recovered."""
    async with counts(tight, reply_bytes=1), raw_client(tight.url) as client:
        reply = await missed(tight, client, "feed:c", flag=2)
        assert reply == {"id": 2, "error": {"code": 112, "message": "unrecoverable position"}}


async def test_what_a_token_recovers_is_within_the_limit_too(tight: ServerProcess) -> None:
    """The client is admitted, and its subscription begins again without recovery."""
    _, epoch = await filled(tight, "feed:d")
    token = connection_token(TOKEN_SECRET, "mallory", channels=["feed:d"])
    since: JsonObject = {"recover": True, "epoch": epoch, "offset": 0}
    async with counts(tight, reply_bytes=1), raw_client(tight.url) as client:
        reply = await client.command(id=1, connect={"token": token, "subs": {"feed:d": since}})
        assert dig(reply, "connect", "subs", "feed:d", "was_recovering") is True
        assert dig(reply, "connect", "subs", "feed:d", "recovered") is None


async def test_outbox_bytes(tight: ServerProcess) -> None:
    """The code is 3008, after which an SDK reconnects."""
    async with (
        counts(tight, outbox_bytes=1),
        raw_stream(tight.client_port, receive_buffer=4096) as slow,
        tight.api() as api,
    ):
        await slow.connect(TOKEN)
        await slow.subscribe("open:large")
        for _ in range(400):
            await api.call("publish", channel="open:large", data="a" * 30_000)
            if (await exceeded(tight))["outbox_bytes"]:
                break
        assert await slow.closed() == (3008, "slow")
