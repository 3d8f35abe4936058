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
