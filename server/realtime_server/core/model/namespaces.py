"""Which options a channel has, by its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from realtime_server.core.model.values import HistoryOptions

MAX_CHANNEL_BYTES = 255
DEFAULT = "default"
KNOWN_CHANNELS = 4096
"""So many names are not parsed again; it is asked for at each publication."""
PRIVATE_PREFIX = "$"
USER_BOUNDARY = "#"
"""What follows the last one in a channel's name are the only users that may subscribe to it."""
USER_SEPARATOR = ","


class SubscribePermission(StrEnum):
    """Which clients may subscribe without a token for the channel."""

    ANYONE = "anyone"
    AUTHENTICATED = "authenticated"
    """Who has a user id."""
    TOKEN = "token"  # noqa: S105 - the word for what it takes
    """Nobody: it takes a token, the backend's word, or a capability."""


class Access(StrEnum):
    """Which clients may do something in a channel."""

    NOBODY = "nobody"
    SUBSCRIBERS = "subscribers"
    ANYONE = "anyone"


class RecoveryMode(StrEnum):
    """What a client gets that comes back: all it has missed, or the newest publication."""

    STREAM = "stream"
    CACHE = "cache"


class SlowConsumer(StrEnum):
    """What becomes of a connection that reads more slowly than is published."""

    DISCONNECT = "disconnect"
    DROP_OLDEST = "dropOldest"
    CONFLATE = "conflate"


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """What a channel can do, and who may do it. Recovery implies history.

    `delta`: subscribers may take differences. `write_delay_seconds`: publications wait for so long to be written
    together. Neither recovery nor delta go with a `slow_consumer` policy that drops something.
    """

    history: HistoryOptions | None = None
    recovery: bool = False
    presence: bool = False
    publish: Access = Access.NOBODY
    recovery_mode: RecoveryMode = RecoveryMode.STREAM
    join_leave: bool = False
    delta: bool = False
    write_delay_seconds: float = 0.0
    slow_consumer: SlowConsumer = SlowConsumer.DISCONNECT
    subscribe: SubscribePermission = SubscribePermission.ANYONE
    presence_for: Access = Access.SUBSCRIBERS
    history_for: Access = Access.SUBSCRIBERS


def is_too_long(channel: str) -> bool:
    """Whether no channel can have this name, because it has more than MAX_CHANNEL_BYTES in UTF-8."""
    return len(channel) > MAX_CHANNEL_BYTES or len(channel.encode()) > MAX_CHANNEL_BYTES


class Namespaces:
    """The options of every channel: by what stands before the first colon, or those of `default`."""

    def __init__(self, options: Iterable[tuple[str, ChannelOptions]]) -> None:
        self._options = dict(options)
        self._known: dict[str, ChannelOptions | None] = {}

    def of(self, channel: str) -> ChannelOptions | None:
        """The options of a channel; None when its name is not legal or its namespace is unknown."""
        try:
            return self._known[channel]
        except KeyError:
            if len(self._known) >= KNOWN_CHANNELS:
                self._known.clear()
            found = self._known[channel] = self._find(channel)
            return found

    def _find(self, channel: str) -> ChannelOptions | None:
        if not channel or is_too_long(channel):
            return None
        name, colon, _ = channel.removeprefix(PRIVATE_PREFIX).partition(":")
        if not colon:
            return self._options.get(DEFAULT, _BUILT_IN)
        return self._options.get(name)


_BUILT_IN = ChannelOptions()
