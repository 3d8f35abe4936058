"""Limits: a closed catalogue.

Their settings, and their effects on clients: docs/reference/limits.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from realtime_server import codes


class Limit(StrEnum):
    """Limit, by the name of its setting if it has one."""

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
"""Burst of messages that a client may send, in seconds of its rate."""
WAITING_COMMANDS = 1024
TOKEN_BYTES = 32_768
"""Maximum length of a token."""
SUBSCRIPTION_BYTES = 2048
"""Size reserved for each command of the frame with which a client reconnects, besides connect's token and data."""


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """Limits of one connection and of a worker; 0 connections per user or connects per second mean no limit.

    `message_bytes`: size of one command without its token. `outbox_bytes`: size of the data that waits for one
    connection.
    """

    channels_per_connection: int
    messages_per_second: int
    outbox_bytes: int = 1_048_576
    connections_per_user: int = 0
    connects_per_second: float = 0.0
    message_bytes: int = 65_536

    @property
    def message_burst(self) -> int:
        """Number of messages that one connection may send at once, before it is slowed to `messages_per_second`.

        This includes a connect and all subscriptions, which a reconnecting client sends at once.
        """
        return BURST_SECONDS * self.messages_per_second + self.channels_per_connection + 1

    @property
    def waiting_commands(self) -> int:
        """Maximum number of commands of one connection that wait for their turn, the backplane, or the backend."""
        return WAITING_COMMANDS + self.channels_per_connection

    @property
    def waiting_bytes(self) -> int:
        """Maximum total size of one connection's waiting commands; one frame always fits."""
        return self.outbox_bytes + self.frame_bytes

    @property
    def subscriptions_bytes(self) -> int:
        """Maximum total size of the subscribe commands of all channels of a client."""
        return self.channels_per_connection * SUBSCRIPTION_BYTES

    @property
    def frame_bytes(self) -> int:
        """Maximum size of one WebSocket message, or of the body of one request.

        The frame with which a client reconnects always fits: its connect command with a token, and all its
        subscriptions.
        """
        return self.message_bytes + TOKEN_BYTES + SUBSCRIPTION_BYTES + self.subscriptions_bytes

    @property
    def reply_bytes(self) -> int:
        """Maximum size of the reply to one command, which has to fit into the outbox beside others."""
        return self.outbox_bytes // 2
