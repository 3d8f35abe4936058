"""Which options a channel has, by its name."""

from __future__ import annotations

from collections.abc import Iterable

from realtime_server.core.model.channel_options import ChannelOptions

MAX_CHANNEL_BYTES = 255
DEFAULT = "default"
KNOWN_CHANNELS = 4096
"""So many names are not parsed again; it is asked for at each publication."""
PRIVATE_PREFIX = "$"
USER_BOUNDARY = "#"
"""What follows the last one in a channel's name are the only users that may subscribe to it."""
USER_SEPARATOR = ","


def personal_channel(namespace: str, user: str) -> str:
    """The personal channel of a user in a namespace."""
    return f"{USER_BOUNDARY}{user}" if namespace == DEFAULT else f"{namespace}:{USER_BOUNDARY}{user}"


def owner_of(channel: str) -> str | None:
    """The user whose personal channel this would be, None for a name that no personal channel has.

    All that follows the boundary is the user, whatever characters it has in it.
    """
    before, boundary, user = channel.partition(USER_BOUNDARY)
    is_namespace = not before or (before.endswith(":") and ":" not in before[:-1])
    return user if boundary and is_namespace else None


def is_too_long(channel: str) -> bool:
    """Whether no channel can have this name, because it has more than MAX_CHANNEL_BYTES in UTF-8."""
    return len(channel) > MAX_CHANNEL_BYTES or len(channel.encode()) > MAX_CHANNEL_BYTES


class Namespaces:
    """The options of every channel: by what stands before the first colon, or those of `default`."""

    def __init__(self, options: Iterable[tuple[str, ChannelOptions]]) -> None:
        self._options = dict(options)
        self._personal = [name for name, each in self._options.items() if each.personal_channel]
        self._single = next((name for name, each in self._options.items() if each.single_connection), None)
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

    def personal_channels(self, user: str) -> tuple[str, ...]:
        """The channels that the server subscribes each connection of a user to; none for an anonymous one."""
        if not user or not self._personal:
            return ()
        return tuple(personal_channel(name, user) for name in self._personal)

    def single_connection_channel(self, user: str) -> str | None:
        """The channel whose presence has all connections of a user that may have only one; None for all others."""
        return None if not user or self._single is None else personal_channel(self._single, user)

    def _find(self, channel: str) -> ChannelOptions | None:
        if not channel or is_too_long(channel):
            return None
        name, colon, _ = channel.removeprefix(PRIVATE_PREFIX).partition(":")
        if not colon or USER_BOUNDARY in name:  # a colon of a user's id ends no namespace
            return self._options.get(DEFAULT, _BUILT_IN)
        return self._options.get(name)


_BUILT_IN = ChannelOptions()
