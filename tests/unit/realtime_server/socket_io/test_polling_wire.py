"""Transport of a client that polls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server import codes
from realtime_server.protocols.socket_io.engine_requests import Answer, TransportName
from realtime_server.protocols.socket_io.engine_session import EngineSession
from realtime_server.socket_io.polling_wire import CONGESTED_BYTES, PollingFlusher, PollingWire
from realtime_server.transports.frames import frame_binary, frame_text, split_frames
from tests.unit.realtime_server.socket_io.world import settle

LIMIT = 100_000


class Client:
    """Client that polls."""

    def __init__(self, flusher: PollingFlusher | None = None) -> None:
        self.overflows = 0
        self.polls = 0
        self.answers: list[Answer] = []
        self.engine = EngineSession(TransportName.POLLING, 50, lambda _: None, lambda _: None)
        self.wire = PollingWire(self.engine, flusher or PollingFlusher(split_frames), LIMIT, self.on_overflow)

    def on_overflow(self) -> None:
        """Count it."""
        self.overflows += 1

    def poll(self) -> None:
        """Poll."""
        self.polls += 1
        self.engine.poll(self.answers.append)


async def test_what_is_written_in_one_iteration_of_the_loop_has_one_answer() -> None:
    """Text as it is, binary data in base64."""
    client = Client()
    client.poll()
    client.wire.write(frame_text(b"4a") + frame_binary(b"\x00"))
    client.wire.write(frame_text(b"4" + b"x" * 200))
    assert client.answers == []
    await settle()
    assert [answer.body for answer in client.answers] == [b"4a\x1ebAA==\x1e4" + b"x" * 200]
    assert (client.wire.written_bytes, client.wire.unacknowledged(), client.wire.unsent()) == (208, 0, 0)


async def test_what_waits_shows_whether_the_client_keeps_up() -> None:
    client = Client()
    client.wire.write(frame_text(b"4" * (CONGESTED_BYTES + 1)))
    await settle()
    assert client.wire.congested
    assert client.wire.unacknowledged() == CONGESTED_BYTES + 1
    client.poll()
    assert not client.wire.congested


async def test_more_than_the_limit_does_not_wait() -> None:
    """The overflow is reported once, after the write; nothing more is taken."""
    client = Client()
    client.wire.write(frame_text(b"4" * (LIMIT + 1)))
    client.wire.write(frame_text(b"4"))
    assert client.overflows == 0
    await settle()
    assert client.overflows == 1
    assert client.wire.unacknowledged() == LIMIT + 1


async def test_nothing_is_written_after_the_end() -> None:
    client = Client()
    client.wire.close(codes.SHUTDOWN)
    client.wire.write(frame_text(b"4"))
    client.wire.pause_reading()
    client.wire.resume_reading()
    assert client.wire.written_bytes == 0


async def test_what_all_clients_get_is_taken_apart_once() -> None:
    """Also when something else comes in between; each has its own answer."""
    calls: list[bytes] = []

    def split(frames: bytes) -> Iterable[tuple[bool, bytes]]:
        calls.append(frames)
        return split_frames(frames)

    flusher = PollingFlusher(split)
    clients = [Client(flusher) for _ in range(3)]
    for client in clients:
        client.poll()
    both, own = frame_text(b"4a") + frame_binary(b"b"), frame_text(b"4own")
    for client in clients:
        client.wire.write(both)
    clients[1].wire.write(own)
    await settle()
    assert calls == [both, own]
    assert [[answer.body for answer in client.answers] for client in clients] == [
        [b"4a\x1ebYg=="],
        [b"4a\x1ebYg==\x1e4own"],
        [b"4a\x1ebYg=="],
    ]


async def test_one_answer_that_fails_does_not_keep_the_others(caplog: pytest.LogCaptureFixture) -> None:
    flusher = PollingFlusher(split_frames)
    clients = [Client(flusher) for _ in range(3)]

    def fail(_answer: Answer) -> None:
        raise OSError("broken")

    for client, reply in zip(clients, (fail, clients[1].answers.append, fail), strict=True):
        client.engine.poll(reply)
        client.wire.write(frame_text(b"4"))
    await settle()
    assert len(clients[1].answers) == 1
    assert "broken" in caplog.text


@given(st.lists(st.sampled_from(["write", "poll", "turn"]), max_size=60))
def test_every_message_arrives_once_in_order(steps: list[str]) -> None:
    """Whenever a client polls; and no poll waits while a message does."""

    async def take_steps() -> None:
        client, written = Client(), 0
        for step in steps:
            if step == "write":
                client.wire.write(frame_text(b"4%d" % written))
                written += 1
            elif step == "turn":
                await asyncio.sleep(0)
            elif len(client.answers) == client.polls:
                client.poll()
        for _ in range(written):
            await asyncio.sleep(0)
            if len(client.answers) == client.polls:
                client.poll()
        packets = [packet for answer in client.answers for packet in answer.body.split(b"\x1e")]
        assert packets == [b"4%d" % number for number in range(written)]
        assert client.wire.unacknowledged() == 0

    asyncio.run(take_steps())
