"""The echo endpoint: what a fuzzing client sees of the transport is what other clients see."""

from __future__ import annotations

from websockets.frames import Frame, Opcode

from realtime_server.transports.compression import Deflater, inflate
from realtime_server.transports.echo import Echo
from realtime_server.transports.frames import frame_binary, frame_text
from tests.unit.realtime_server.transports.frame_pieces import parsed

LONG = b"Hello" * 100


def sent(opcode: Opcode, payload: bytes) -> bytes:
    """A client's frame."""
    return Frame(opcode, payload).serialize(mask=True)


def test_messages_are_written_back_and_control_frames_are_not() -> None:
    """In their order, with their opcode; the connection answers pings."""
    written: list[bytes] = []
    parser = Echo(1000, None).parser(None, written.append)
    data = sent(Opcode.TEXT, b"a") + sent(Opcode.PING, b"p") + sent(Opcode.BINARY, LONG) + sent(Opcode.CLOSE, b"")
    assert list(parsed(parser, [data])) == [(Opcode.PING, b"p"), (Opcode.CLOSE, b"")]
    assert written == [frame_text(b"a"), frame_binary(LONG)]


def test_they_are_compressed_where_it_was_negotiated() -> None:
    """As other messages of this server: from the threshold on."""
    for negotiated in (True, False):
        written: list[bytes] = []
        parser = Echo(1000, 100).parser(inflate if negotiated else None, written.append)
        assert not list(parsed(parser, [sent(Opcode.TEXT, LONG), sent(Opcode.BINARY, LONG), sent(Opcode.TEXT, b"a")]))
        whole = [frame_text(LONG), frame_binary(LONG)]
        small = [Deflater(100).frame_text(LONG), Deflater(100).frame_binary(LONG)]
        assert written == [*(small if negotiated else whole), frame_text(b"a")]
