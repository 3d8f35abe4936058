"""Helpers for frames in both directions: the parser's events, and the library's reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from websockets.extensions import Extension
from websockets.frames import Frame
from websockets.streams import StreamReader

from realtime_server.transports.frames import FrameParser


def parsed(parser: FrameParser, pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Return all events that the parser yields. Raises FrameError."""
    for piece in pieces:
        yield from parser.take(piece)
        if parser.has_rest:
            yield from parser.take_rest()


def read_by_library(data: bytes, extensions: Sequence[Extension] = ()) -> Frame:
    """Return a server's frame as the library's client reads it."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    parser = Frame.parse(reader.read_exact, mask=False, max_size=None, extensions=extensions)
    try:
        next(parser)
    except StopIteration as done:
        found = done.value
        assert isinstance(found, Frame)
        return found
    raise AssertionError("the frame is not whole")
