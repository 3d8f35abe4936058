"""State of a session, from which it continues on any server after its connection was lost."""

from __future__ import annotations

import msgspec

from realtime_server.core.model.values import StreamPosition


class SessionState(msgspec.Struct, array_like=True, frozen=True):
    """State of a session. `client` is its public id; `data` is the client protocol's own.

    `channels`: the position in its stream at which the subscription to each channel began.
    """

    client: str
    user: str
    channels: dict[str, StreamPosition]
    data: bytes = b""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SessionState)


def pack_state(state: SessionState) -> bytes:
    """Encode a state for the backplane."""
    return _encoder.encode(state)


def unpack_state(packed: bytes) -> SessionState | None:
    """Decode a state from the backplane; None for an unreadable one, of a foreign writer."""
    try:
        return _decoder.decode(packed)
    except msgspec.DecodeError:
        return None
