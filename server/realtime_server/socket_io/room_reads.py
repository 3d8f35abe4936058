"""Events of a client that read a room: its history, and who is in it, with the permissions of the channel."""

from __future__ import annotations

from realtime_server.core.operations.reading import Reading
from realtime_server.protocols.socket_io.own_answers import encode_history, encode_presence
from realtime_server.protocols.socket_io.own_events import history_options
from realtime_server.protocols.socket_io.packets import Packet
from realtime_server.socket_io.socket_session import SocketSession


async def acknowledge_history(reading: Reading, session: SocketSession, channel: str, packet: Packet) -> None:
    """Acknowledge `history` with a part of the channel's stream. Raises CommandError or BackplaneError."""
    page = await reading.history(session, channel, history_options(packet.items()).query)
    data, attachments = encode_history(session.namespace.codec, channel, page)
    session.acknowledge(packet.id, data, attachments)


async def acknowledge_presence(reading: Reading, session: SocketSession, channel: str, packet: Packet) -> None:
    """Acknowledge `presence` with the members of a channel. Raises CommandError or BackplaneError."""
    session.acknowledge(packet.id, encode_presence(await reading.presence(session, channel)))
