"""What a client of Socket.IO sends with CONNECT to recover: its private id, and the position of its last event.

Source: https://socket.io/docs/v4/connection-state-recovery. Both are the server's own text, as clients see it.
"""

from __future__ import annotations

import re

import msgspec

from realtime_server.core.model.values import SequencePosition

_PID = re.compile(r"[0-9a-f]{32}")
_POSITION = re.compile(r"([!-~]{1,100})-(0|[1-9][0-9]{0,15})")


class Returning(msgspec.Struct, frozen=True):
    """Request of a client to go on as the session with this private id, after this position."""

    pid: str
    offset: str

    @property
    def since(self) -> SequencePosition | None:
        """Position of the last event that it has; None when it is not one of this server's."""
        match = _POSITION.fullmatch(self.offset)
        return None if match is None else SequencePosition(int(match[2]), match[1])


_decoder = msgspec.json.Decoder(Returning)


def returning_in(auth: bytes) -> Returning | None:
    """Return the request in the data of CONNECT; None where there is none that could be granted."""
    try:
        found = _decoder.decode(auth)
    except ValueError:
        return None
    return found if found.since is not None and _PID.fullmatch(found.pid) else None


def encode_position(position: SequencePosition) -> str:
    """Return the position as clients see it."""
    return f"{position.epoch}-{position.number}"
