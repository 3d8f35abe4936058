"""Link to a peer that speaks Redis's protocol or breaks it; tests/contract uses a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop
from redis.asyncio.connection import Connection
from redis.exceptions import MovedError

from realtime_server import settings
from realtime_server.backplane.redis_cluster import NodeTarget
from realtime_server.backplane.redis_link import MAX_OUTGOING_BYTES, MAX_PENDING, Link, Target, Timing
from realtime_server.backplane.redis_target import EndpointReader, Mode
from realtime_server.core.model.errors import BackplaneError
from tests.kit.listener import listening

TIMING = Timing(connect=1, call=0.2, probe=0.05, probes_missed=2)
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def target_of(place: settings.Redis) -> Target:
    """Return the target for the only Redis of the settings."""
    return NodeTarget(EndpointReader(place), TIMING, Mode.STANDALONE)


@contextlib.asynccontextmanager
async def peer(talk: Talk) -> AsyncIterator[Target]:
    """Start a listener that answers the library's greeting and then runs `talk`."""

    async def greeted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):  # CLIENT SETINFO, twice
            await reader.readuntil(b"CLIENT")
            writer.write(b"+OK\r\n")
        await reader.read(200)
        await talk(reader, writer)

    async with listening(greeted) as port:
        yield target_of(settings.Redis(address=f"127.0.0.1:{port}"))


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Read without ever answering."""
    while await reader.read(1000):
        pass


async def test_one_that_never_answers_is_given_up() -> None:
    """The call times out first, then the link is closed."""
    async with peer(say_nothing) as target:
        link = await Link.open(target, TIMING)
        with pytest.raises(BackplaneError):
            await link.call(b"GET", b"x")
        assert "does not answer" in await link.wait_broken()
        assert not link.usable
        with pytest.raises(BackplaneError):
            link.post(b"PING")
        await link.close()
        await link.close()


async def test_all_that_waits_fails_when_the_link_breaks() -> None:
    """All pending calls fail with the reason when the link breaks."""
    async with peer(say_nothing) as target:
        link = await Link.open(target, TIMING)
        calls = [asyncio.create_task(link.call(b"GET", b"x")) for _ in range(10)]
        await asyncio.sleep(0)
        link.mark_broken("no more")
        results = await asyncio.gather(*calls, return_exceptions=True)
        await link.close()
    assert [str(result) for result in results] == ["no more"] * 10


async def test_nonsense_breaks_the_link() -> None:
    """Invalid data breaks the link without raising anywhere else."""

    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()

    async with peer(babble) as target:
        link = await Link.open(target, TIMING)
        assert "lost the link to Redis" in await link.wait_broken()
        await link.close()


async def test_a_reply_to_nothing_breaks_the_link() -> None:
    """A reply without a command breaks the link, as replies could no longer be matched."""

    async def chatter(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK\r\n" * 100)
        await writer.drain()

    async with peer(chatter) as target:
        link = await Link.open(target, TIMING)
        assert "a reply to no command" in await link.wait_broken()
        await link.close()


async def test_an_error_is_the_only_reply_to_a_command() -> None:
    """Also where there would be several: a cluster refuses to subscribe to the channels of a slot that has moved."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers = {b"SSUBSCRIBE": b"-MOVED 5 127.0.0.1:1\r\n", b"GET": b"+value\r\n", b"PING": b"+PONG\r\n"}
        while data := await reader.read(1000):
            writer.writelines(answers[word] for word in re.findall(rb"SSUBSCRIBE|GET|PING", data))

    async with peer(refuse) as target:
        link = await Link.open(target, replace(TIMING, call=10, probe=60))
        with pytest.raises(MovedError):
            await link.call(b"SSUBSCRIBE", b"a", b"b", b"c", replies=3)
        assert await link.call(b"GET", b"x") == b"value"
        await link.close()


async def test_no_more_wait_than_the_bound() -> None:
    """Above the maximum of pending commands further ones are refused, to bound memory while Redis hangs."""
    async with peer(say_nothing) as target:
        link = await Link.open(target, TIMING)
        for _ in range(MAX_PENDING):
            link.post(b"PING")
        with pytest.raises(BackplaneError, match="too many"):
            link.post(b"PING")
        await link.close()


def test_no_more_bytes_wait_than_the_bound() -> None:
    """Above the maximum of pending bytes further commands are refused.

    On the server's event loop: the loop of Python 3.12, and of 3.13 until 3.13.4, lets a connection buffer any number
    of bytes.
    """
    uvloop.run(_fill_a_link())


async def _fill_a_link() -> None:
    async def read_nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await done.wait()

    done = asyncio.Event()
    async with peer(read_nothing) as target:
        link = await Link.open(target, TIMING)
        large = bytes(MAX_OUTGOING_BYTES // 8)
        await asyncio.sleep(0.02)  # until the first ping was sent
        for _ in range(7):
            link.post(b"PUBLISH", b"c", large)
        await asyncio.sleep(0.02)  # the kernel takes a part, and they count until all of it was taken
        with pytest.raises(BackplaneError, match="too many"):
            link.post(b"PUBLISH", b"c", large)
        await link.close()
        done.set()


async def test_a_link_with_much_to_do_is_probed_and_kept() -> None:
    """A link with many pending commands is kept while it receives replies."""

    async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100_000):
            writer.write(b"+OK\r\n")
            await asyncio.sleep(0.01)

    async with peer(answer_slowly) as target:
        link = await Link.open(target, replace(TIMING, probes_missed=20))
        deadline = asyncio.get_running_loop().time() + 4 * TIMING.probe
        while asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(BackplaneError):
                for _ in range(MAX_PENDING):
                    link.post(b"GET", b"x")
            await asyncio.sleep(0.01)
        assert link.usable
        await link.close()


async def test_one_large_command_may_pass() -> None:
    """A single command may exceed the maximum, which applies to waiting commands."""
    async with peer(say_nothing) as target:
        link = await Link.open(target, TIMING)
        await asyncio.sleep(0.02)  # until the first ping was sent
        link.post(b"PUBLISH", b"c", bytes(MAX_OUTGOING_BYTES + 1))
        with pytest.raises(BackplaneError, match="too many"):
            link.post(b"PUBLISH", b"c", b"x")
        await link.close()


async def test_nobody_listens() -> None:
    """The error contains the reason."""
    target = target_of(settings.Redis(address="127.0.0.1:1"))
    with pytest.raises(BackplaneError, match="cannot connect"):
        await Link.open(target, TIMING)


async def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing URL file is an error, as while a Secret is not mounted yet."""
    target = target_of(settings.Redis(url_file=tmp_path / "url"))
    with pytest.raises(BackplaneError, match="not there or empty"):
        await Link.open(target, TIMING)


@pytest.mark.parametrize("url", ["redis://h:1/0?socket_timeout=1&protocol=3&max_connections=5", "rediss://u:p@h:1/2"])
async def test_a_url_may_not_change_how_the_link_works(tmp_path: Path, url: str) -> None:
    """A URL sets location and credentials, but not the protocol version or timeouts."""
    (tmp_path / "url").write_text(url)
    connection = await target_of(settings.Redis(url_file=tmp_path / "url")).connection()
    assert isinstance(connection, Connection)
    assert (connection.protocol, connection.socket_timeout) == (2, None)
