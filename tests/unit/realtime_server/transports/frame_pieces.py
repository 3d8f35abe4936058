"""What a parser of frames makes of the pieces in which they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from realtime_server.transports.frames import FrameParser


def parsed(parser: FrameParser, pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """All that it yields, as a connection asks it. Raises FrameError."""
    for piece in pieces:
        yield from parser.take(piece)
        if parser.has_rest:
            yield from parser.take_rest()
