"""The closed catalogue of what is limited, and how often each limit was exceeded.

What a client gets, and which setting it is: docs/reference/limits.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING

from realtime_server import codes

if TYPE_CHECKING:
    from realtime_server.core.metrics.counters import Counters


class Limit(StrEnum):
    """What is limited, by the name of its setting if it has one."""

    CONNECTIONS = "connections"
    HANDSHAKES = "handshakes"
    HANDSHAKE_SECONDS = "handshake_seconds"
    HEAD_BYTES = "head_bytes"
    CONNECT_SECONDS = "connect_seconds"
    CONNECTS_PER_SECOND = "connects_per_second"
    CONNECTIONS_PER_USER = "connections_per_user"
    CHANNELS_PER_CONNECTION = "channels_per_connection"
    CHANNEL_BYTES = "channel_bytes"
    TOKEN_BYTES = "token_bytes"  # noqa: S105 - the name of a limit
    MESSAGE_BYTES = "message_bytes"
    MESSAGES_PER_SECOND = "messages_per_second"
    WAITING_COMMANDS = "waiting_commands"
    REPLY_BYTES = "reply_bytes"
    OUTBOX_BYTES = "outbox_bytes"


BY_DISCONNECT = {
    codes.STALE.code: Limit.CONNECT_SECONDS,
    codes.CONNECTION_LIMIT.code: Limit.CONNECTIONS_PER_USER,
    codes.SLOW.code: Limit.OUTBOX_BYTES,
    1009: Limit.MESSAGE_BYTES,  # WebSocket's own
}
"""Disconnect codes that stand for one limit."""
BY_REJECTION = {
    "connection_limit": Limit.CONNECTIONS,
    "socket_limit": Limit.HANDSHAKES,
    "timeout": Limit.HANDSHAKE_SECONDS,
    "head_too_large": Limit.HEAD_BYTES,
    "too_large": Limit.MESSAGE_BYTES,
}
"""Reasons of a refused handshake or request that stand for one limit."""


def exceeded(counters: Counters) -> Iterator[tuple[Limit, int]]:
    """How often each limit was exceeded: counted as such, or by a code or a reason that means nothing else."""
    for limit in Limit:
        count = counters.limits[limit]
        count += sum(counters.disconnects[code] for code, meant in BY_DISCONNECT.items() if meant is limit)
        count += sum(counters.handshakes_rejected[reason] for reason, meant in BY_REJECTION.items() if meant is limit)
        yield limit, count
