"""Conditions of a subscription, as a token, a hook or the server API grants it.

Source of the names and meanings of `override`: Centrifugo's tokens.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from msgspec import Meta, Struct

from realtime_server.core.model.channel_options import ChannelOptions, SlowConsumer
from realtime_server.core.model.revocation import Credential


def is_positioned(options: ChannelOptions) -> bool:
    """Return True when subscribers are told their position in the stream, from which a recovery starts."""
    return options.recovery or options.force_positioning


class Switch(Struct, frozen=True, forbid_unknown_fields=True):
    """On or off."""

    value: bool = False


class Override(Struct, frozen=True, forbid_unknown_fields=True):
    """Differences to the options of the namespace; an absent field leaves its option unchanged."""

    presence: Annotated[Switch | None, Meta(description="Off: it is not among those who are present.")] = None
    join_leave: Annotated[Switch | None, Meta(description="Whether others are told that it joins and leaves.")] = None
    force_push_join_leave: Annotated[
        Switch | None, Meta(description="On: it is told who joins and leaves, whether it asks and may ask or not.")
    ] = None
    force_recovery: Annotated[Switch | None, Meta(description="Whether it gets what it missed.")] = None
    force_positioning: Annotated[Switch | None, Meta(description="Whether it is told its position.")] = None

    def applied_to(self, options: ChannelOptions) -> ChannelOptions:
        """Return the options of the subscription. Check `conflict` first."""
        return replace(
            options,
            presence=_value(self.presence, options.presence),
            join_leave=_value(self.join_leave, options.join_leave),
            force_push_join_leave=_value(self.force_push_join_leave, options.force_push_join_leave),
            recovery=_value(self.force_recovery, options.recovery),
            force_positioning=_value(self.force_positioning, options.force_positioning),
        )

    def conflict(self, options: ChannelOptions) -> str:
        """Return the reason why the namespace cannot apply this; "" if it can."""
        wanted = self.applied_to(options)
        if wanted.presence and not options.presence:
            return "override.presence: the namespace has no presence"
        if is_positioned(wanted) and options.history is None:
            return "override: without history there is no recovery and no position"
        if is_positioned(wanted) and options.slow_consumer is not SlowConsumer.DISCONNECT:
            option = "force_recovery" if wanted.recovery else "force_positioning"
            return f"override.{option}: the namespace drops publications"
        return ""


AS_THE_NAMESPACE = Override()


class Grant(Struct, frozen=True, gc=False):
    """Conditions of one subscription.

    `info` is raw JSON that others see, `data` raw data for the subscriber; `expires_at` is Unix time in seconds, None
    for never.
    """

    info: bytes | None = None
    data: bytes | None = None
    expires_at: float | None = None
    renewed_by_hook: bool = False
    """True when the backend renews the subscription on expiry, instead of the client."""
    override: Override = AS_THE_NAMESPACE
    credential: Credential | None = None
    """Token that grants it, None for no token."""
    permitted: bool = False
    """True when only the client's claims and the namespace allow it: it ends when they no longer do."""


PLAIN = Grant()
PERMITTED = Grant(permitted=True)


def _value(switch: Switch | None, otherwise: bool) -> bool:
    return otherwise if switch is None else switch.value
