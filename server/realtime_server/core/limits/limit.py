"""The closed catalogue of what is limited.

What a client gets, and which setting it is: docs/reference/limits.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from realtime_server import codes


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
    SUBSCRIPTION_BYTES = "subscription_bytes"
    TOKEN_BYTES = "token_bytes"  # noqa: S105 - the name of a limit
    MESSAGE_BYTES = "message_bytes"
    MESSAGES_PER_SECOND = "messages_per_second"
    WAITING_COMMANDS = "waiting_commands"
    REPLY_BYTES = "reply_bytes"
    OUTBOX_BYTES = "outbox_bytes"


BY_DISCONNECT = {
    codes.STALE.code: Limit.CONNECT_SECONDS,
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


BURST_SECONDS = 10
"""A client may send so many seconds' worth of messages at once."""
WAITING_COMMANDS = 1024
TOKEN_BYTES = 32_768
"""Longest token."""
SUBSCRIPTION_BYTES = 2048
"""Room for each command in the frame with which a client comes back: besides its token and data for connect."""


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """What one connection may do, and how many there may be; 0 connections per user or connects per second: no limit.

    `message_bytes`: what one command may bring besides its token. `outbox_bytes`: what may wait for one connection.
    """

    channels_per_connection: int
    messages_per_second: int
    outbox_bytes: int = 1_048_576
    connections_per_user: int = 0
    connects_per_second: float = 0.0
    message_bytes: int = 65_536

    @property
    def message_burst(self) -> int:
        """Messages that one connection may send at once; after them it is slowed to `messages_per_second`.

        A client that comes back sends its connect and all its subscriptions at once: room for them comes on top.
        """
        return BURST_SECONDS * self.messages_per_second + self.channels_per_connection + 1

    @property
    def waiting_commands(self) -> int:
        """How many commands of one connection may wait: for their turn, the backplane, or the backend."""
        return WAITING_COMMANDS + self.channels_per_connection

    @property
    def waiting_bytes(self) -> int:
        """How large the commands of one connection that wait may be together: one frame always may."""
        return self.outbox_bytes + self.frame_bytes

    @property
    def subscriptions_bytes(self) -> int:
        """How large the subscribe commands of all channels that a client has may be together."""
        return self.channels_per_connection * SUBSCRIPTION_BYTES

    @property
    def frame_bytes(self) -> int:
        """How large one WebSocket message, or the body of one request, may be.

        That with which a client comes back always fits: its connect command with a token, and all its subscriptions.
        """
        return self.message_bytes + TOKEN_BYTES + SUBSCRIPTION_BYTES + self.subscriptions_bytes

    @property
    def reply_bytes(self) -> int:
        """How large the answer to one command may be: it has to fit into the outbox beside others."""
        return self.outbox_bytes // 2
