"""Connection in the body of an HTTP response: order, bound, and end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

from realtime_server import codes
from realtime_server.protocols.centrifuge.json_codec import JsonCodec
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.http_stream import frame_line
from realtime_server.transports.stream import StreamConnection, chunk
from tests.kit.server_doubles import make_node

WIRE = JsonCodec(lambda message: message + b"\n")


@dataclass
class Transport:
    """Transport that records writes; `unsent` is the number of bytes that the kernel has not taken."""

    written: list[bytes] = field(default_factory=list)
    unsent: int = 0

    def write(self, data: bytes) -> None:
        """Record the data."""
        self.written.append(data)

    def get_write_buffer_size(self) -> int:
        """Return `unsent`."""
        return self.unsent

    def get_extra_info(self, _name: str) -> None:
        """Return None: there is no socket to write to directly."""


def make(outbox_bytes: int = 1000) -> tuple[StreamConnection, Transport]:
    """Return a connection with a session, not open yet."""
    node = make_node()
    loop = asyncio.get_running_loop()
    stream = StreamConnection(WIRE, node.counters, Flusher(loop.call_soon, outbox_bytes), loop)
    stream.session = node.accept(stream, WIRE)
    return stream, Transport()


def opened(stream: StreamConnection, transport: Transport) -> None:
    """Write the head of the response."""
    stream.open(cast("asyncio.Transport", transport))


async def turn() -> None:
    """Run one iteration of the loop."""
    await asyncio.sleep(0)


def test_a_chunk_is_its_size_in_hexadecimal_and_its_data() -> None:
    """The chunk has the form of RFC 9112, section 7.1."""
    assert chunk(b"a" * 26) == b"1a\r\n" + b"a" * 26 + b"\r\n"
    assert frame_line(b"{}") == b"3\r\n{}\n\r\n"


async def test_what_is_written_before_the_head_waits() -> None:
    """Earlier writes go out with the head, in one write."""
    stream, transport = make()
    stream.write(b"a")
    stream.write(b"b")
    await turn()
    assert stream.decided.is_set()
    opened(stream, transport)
    assert transport.written == [b"ab"]


async def test_writes_of_one_turn_are_joined() -> None:
    """Writes of one loop iteration are one system call."""
    stream, transport = make()
    opened(stream, transport)
    stream.write(b"a")
    stream.write(b"b")
    assert transport.written == []
    await turn()
    assert transport.written == [b"ab"]


async def test_the_code_is_the_last_thing_that_is_sent() -> None:
    """The code follows the waiting data, and nothing follows the code."""
    stream, transport = make()
    opened(stream, transport)
    stream.write(b"a")
    stream.close(codes.FORCE_RECONNECT)
    stream.write(b"b")
    stream.close(codes.SHUTDOWN)
    await turn()
    push = b'{"push":{"disconnect":{"code":3011,"reason":"force reconnect","reconnect":true}}}\n'
    assert b"".join(transport.written) == b"a" + push
    assert stream.ended.is_set()


async def test_sent_away_before_anything_was_said() -> None:
    """A refusal before the head can become an HTTP status; an open stream carries the code."""
    stream, transport = make()
    stream.close(codes.INVALID_TOKEN)
    assert stream.refusal == codes.INVALID_TOKEN
    opened(stream, transport)
    assert b'"code":3500' in transport.written[0]


async def test_a_client_that_does_not_read_is_disconnected() -> None:
    """Above the outbox's bound the client gets 3008 in a later iteration, and its waiting data is dropped."""
    stream, transport = make(outbox_bytes=100)
    opened(stream, transport)
    stream.write(b"a" * 60)
    transport.unsent = 60
    stream.write(b"b" * 60)
    assert not stream.ended.is_set()
    await turn()
    await turn()
    assert stream.session is not None
    assert stream.session._context.counters.disconnects == {codes.SLOW.code: 1}
    assert b'"code":3008' in transport.written[-1]
    assert not any(b"b" * 60 in data for data in transport.written)


async def test_a_burst_goes_to_the_kernel_before_it_counts_as_too_much() -> None:
    """Writes of one loop iteration do not disconnect a client that reads."""
    stream, transport = make(outbox_bytes=100)
    opened(stream, transport)
    for part in (b"a", b"b", b"c"):
        stream.write(part * 60)
    await turn()
    await turn()
    assert b"".join(transport.written) == b"a" * 60 + b"b" * 60 + b"c" * 60
    assert not stream.ended.is_set()


async def test_congestion_is_told_and_its_end() -> None:
    """Both are reported to the session for slow consumers."""
    stream, _ = make()
    stream.on_full()
    assert stream.congested
    stream.on_drained()
    assert not stream.congested


async def test_a_lost_socket_ends_the_session() -> None:
    """The disconnect counts as one of the client."""
    stream, transport = make()
    opened(stream, transport)
    stream.write(b"a")
    stream.on_lost()
    await turn()
    assert stream.ended.is_set()
    assert stream.session is not None
    assert stream.session.closed
    assert stream.session._context.counters.disconnects == {3000: 1}
    assert transport.written == []
