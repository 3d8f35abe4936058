"""Options of a channel, by its name."""

from __future__ import annotations

from collections.abc import Container, Iterable

from realtime_server.core.model.channel_options import ChannelOptions

MAX_CHANNEL_BYTES = 255
DEFAULT = "default"
KNOWN_CHANNELS = 4096
"""Number of cached channel names; options are looked up for each publication."""
PRIVATE_PREFIX = "$"
USER_BOUNDARY = "#"
"""Separator in a channel's name before the users who alone may subscribe."""
USER_SEPARATOR = ","


def personal_channel(namespace: str, user: str) -> str:
    """Return the name of a user's personal channel in a namespace."""
    return f"{USER_BOUNDARY}{user}" if namespace == DEFAULT else f"{namespace}:{USER_BOUNDARY}{user}"


def owner_of(channel: str) -> str | None:
    """Return the user whose personal channel has this name, or None if it is not the name of a personal channel.

    Everything after the boundary is the user id, whatever characters it contains.
    """
    before, boundary, user = channel.partition(USER_BOUNDARY)
    is_namespace = not before or (before.endswith(":") and ":" not in before[:-1])
    return user if boundary and is_namespace else None


def namespace_of(channel: str) -> str | None:
    """Return the namespace in a channel's name, None for a channel without one, which is in DEFAULT."""
    name, colon, _ = channel.removeprefix(PRIVATE_PREFIX).partition(":")
    return name if colon and USER_BOUNDARY not in name else None  # a colon of a user's id ends no namespace


def is_in(channel: str, namespaces: Container[str]) -> bool:
    """Return True when a channel is in one of the namespaces with these names."""
    return (namespace_of(channel) or DEFAULT) in namespaces


def is_too_long(channel: str) -> bool:
    """Return True when a name exceeds MAX_CHANNEL_BYTES in UTF-8, so that no channel can have it."""
    return len(channel) > MAX_CHANNEL_BYTES or len(channel.encode()) > MAX_CHANNEL_BYTES


class Namespaces:
    """Options of each channel, by the namespace before the first colon, or those of `default`."""

    def __init__(self, options: Iterable[tuple[str, ChannelOptions]]) -> None:
        self._options = dict(options)
        self._personal = [name for name, each in self._options.items() if each.personal_channel]
        self._single = next((name for name, each in self._options.items() if each.single_connection), None)
        self._known: dict[str, ChannelOptions | None] = {}

    def of(self, channel: str) -> ChannelOptions | None:
        """Return the options of a channel; None when its name is not legal or its namespace is unknown."""
        try:
            return self._known[channel]
        except KeyError:
            if len(self._known) >= KNOWN_CHANNELS:
                self._known.clear()
            found = self._known[channel] = self._find(channel)
            return found

    def personal_channels(self, user: str) -> tuple[str, ...]:
        """Return the channels that the server subscribes each connection of a user to; none for an anonymous user."""
        if not user or not self._personal:
            return ()
        return tuple(personal_channel(name, user) for name in self._personal)

    def single_connection_channel(self, user: str) -> str | None:
        """Return the channel whose presence lists the connections of a user who may have only one, or None."""
        return None if not user or self._single is None else personal_channel(self._single, user)

    def _find(self, channel: str) -> ChannelOptions | None:
        if not channel or is_too_long(channel):
            return None
        name = namespace_of(channel)
        return self._options.get(DEFAULT, _BUILT_IN) if name is None else self._options.get(name)


_BUILT_IN = ChannelOptions()
