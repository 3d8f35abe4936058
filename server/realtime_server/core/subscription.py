"""One connection's subscription to a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realtime_server.core.channel import Channel


class Subscription:
    """What was agreed. `info` is raw JSON that others see; `expires_at` Unix time in seconds, None for never.

    `assigned`: the server made it (a token, a hook, the API), the client did not ask for it. `renewed_by_hook`: the
    backend is asked when its time is over, instead of the client. `tells`: others are told when it begins and ends.
    `present`: it is among those who are present, where the channel has presence.
    """

    __slots__ = ("assigned", "channel", "delta", "expires_at", "info", "present", "renewed_by_hook", "tells", "watches")

    def __init__(
        self,
        channel: Channel,
        *,
        info: bytes | None = None,
        expires_at: float | None = None,
        renewed_by_hook: bool = False,
        assigned: bool = False,
        delta: bool = False,
        tells: bool = False,
        watches: bool = False,
        present: bool = True,
    ) -> None:
        self.channel = channel
        self.info = info
        self.expires_at = expires_at
        self.renewed_by_hook = renewed_by_hook
        self.assigned = assigned
        self.delta = delta
        self.tells = tells
        self.watches = watches
        self.present = present
