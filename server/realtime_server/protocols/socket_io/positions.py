"""What a client of Socket.IO sends with CONNECT to recover: its private id, and the position of its last event.

Source: https://socket.io/docs/v4/connection-state-recovery. Both are the server's own text, as clients see it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from realtime_server.core.model.values import SequencePosition

_PID = re.compile(r"[0-9a-f]{32}")
_POSITION = re.compile(r"([!-~]{1,100})-(0|[1-9][0-9]{0,15})")


class Returning(NamedTuple):
    """Request of a client to go on as the session with this private id, after the position of its last event."""

    pid: str
    since: SequencePosition


class _Claim(msgspec.Struct, frozen=True):
    pid: str
    offset: str


_decoder = msgspec.json.Decoder(_Claim)


def returning_in(auth: bytes) -> Returning | None:
    """Return the request in the data of CONNECT; None where there is none that could be granted."""
    try:
        found = _decoder.decode(auth)
    except ValueError:
        return None
    since = decode_position(found.offset)
    if since is None or not _PID.fullmatch(found.pid):
        return None
    return Returning(found.pid, since)


def decode_position(text: str) -> SequencePosition | None:
    """Return the position that clients see as this text; None for any other text."""
    found = _POSITION.fullmatch(text)
    return None if found is None else SequencePosition(int(found[2]), found[1])


def encode_position(position: SequencePosition) -> str:
    """Return the position as clients see it."""
    return f"{position.epoch}-{position.number}"
