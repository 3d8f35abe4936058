# Generated from schema/namespace_options.toml by `make options`. Do not edit.
"""The options of a channel namespace in the spec."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from realtime_operator.api import duration
from realtime_operator.api.base import Model, rule
from realtime_operator.api.fields import Duration, Milliseconds, NamespaceName


class History(Model):
    """Publications that are kept for clients that come later."""

    size: Annotated[int, Field(ge=1, le=100000)] = 100
    """Number of publications that a channel keeps."""
    ttl: Duration = "10m"
    """Time after the last publication for which a channel's history is kept."""

    @property
    def ttl_seconds(self) -> int:
        """`ttl` in seconds."""
        return duration.seconds(self.ttl)


class Namespace(Model):
    """Options of the channels whose names begin with `name:`; those of `default` hold for channels without a colon."""

    name: NamespaceName
    """Part of a channel's name before the first colon."""
    history: History | None = None
    """Keep the last publications of each channel. Absent: keep none."""
    recovery: Literal["Disabled", "Positioned", "Stream", "Ordered", "Cache"] = "Disabled"
    """Recovery of a client that subscribes again.

    All but `Disabled` need `history`. `Disabled`: only what is published from then on; `Positioned`: the same, and its
    position in the stream, by which it knows that it missed something; `Stream`: everything that it missed, if the
    history still has it; `Ordered`: the same, and publications of all channels of the namespace have one order, in
    which a client that was in many of them can get what it missed; `Cache`: the newest publication, however much it
    missed.
    """
    presence: bool = False
    """Keep a list of a channel's subscribers, which clients (`presenceFor`) and the HTTP API can read."""
    publish: Literal["Nobody", "Subscribers", "Anyone"] = "Nobody"
    """Clients that may publish.

    The HTTP API always may. `Nobody`: no client; `Subscribers`: subscribers of the channel; `Anyone`: all clients.
    """
    subscribe: Literal["Anyone", "Authenticated", "Token"] = "Anyone"
    """Clients that may subscribe without a subscription token.

    `Anyone`: all clients; `Authenticated`: clients with a user id; `Token`: none, unless a capability of the
    connection token or the subscribe hook allows it.
    """
    presence_for: Literal["Nobody", "Subscribers", "Anyone"] = "Subscribers"
    """Clients that may read the list of subscribers, and ask to be told who joins and leaves.

    `Nobody`: no client; `Subscribers`: subscribers of the channel; `Anyone`: all clients.
    """
    history_for: Literal["Nobody", "Subscribers", "Anyone"] = "Subscribers"
    """Clients that may read the history.

    Recovery needs no such permission. `Nobody`: no client; `Subscribers`: subscribers of the channel; `Anyone`: all
    clients.
    """
    join_leave: Literal["Disabled", "OnRequest", "Always"] = "Disabled"
    """Subscribers that are told who joins and leaves a channel.

    `Disabled`: none; `OnRequest`: those that ask for it (`joinLeave` in SDKs) and that `presenceFor` allows; `Always`:
    all, whatever they ask for and `presenceFor` says.
    """
    delta: Literal["Disabled", "Fossil"] = "Disabled"
    """Publications as differences to the one before, which save bytes where data changes little.

    `Disabled`: always the whole data; `Fossil`: differences in Fossil's format, for those that ask for them.
    """
    write_delay: Milliseconds = "0ms"
    """Time that publications wait to be written together: fewer, larger packets. At most 1000ms."""
    slow_consumer: Literal["Disconnect", "DropOldest", "Conflate"] = "Disconnect"
    """Treatment of a client that reads more slowly than is published.

    `Disconnect`: it is disconnected when its outbox is full, and has to connect again; `DropOldest`: the oldest
    publications that wait for it are dropped, and it is told how many; `Conflate`: of publications with the same key
    only the newest waits for it, and it is told for how many that one stands.
    """
    personal_channel: Literal["Disabled", "Enabled", "SingleConnection"] = "Disabled"
    """Personal channel of each user: `name:#USER`, or `#USER` in the namespace `default`.

    Anonymous users have none. `Disabled`: the server subscribes nobody; `Enabled`: the server subscribes each
    connection of a user; `SingleConnection`: the same, and a new connection closes the user's earlier ones with code
    3504; needs `presence`.
    """

    @rule(
        "self.recovery == 'Disabled' || has(self.history)",
        "recovery needs history: set history ({} for its defaults), or recovery to Disabled",
        field="recovery",
    )
    def _recovery_has_history(self) -> bool:
        return self.recovery == "Disabled" or self.history is not None

    @rule(
        "self.recovery != 'Ordered' || self.writeDelay == '0ms'",
        "Ordered publications cannot wait, since each channel waits by itself: set writeDelay to 0ms, or"
        " recovery to Stream",
        field="recovery",
    )
    def _order_is_not_delayed(self) -> bool:
        return self.recovery != "Ordered" or self.write_delay == "0ms"

    @rule(
        "self.slowConsumer == 'Disconnect' || (self.recovery == 'Disabled' && self.delta == 'Disabled')",
        "DropOldest and Conflate skip publications, but recovery and delta need all of them: set both to"
        " Disabled, or slowConsumer to Disconnect",
        field="slowConsumer",
    )
    def _nothing_is_built_on_what_is_dropped(self) -> bool:
        return self.slow_consumer == "Disconnect" or (self.recovery == "Disabled" and self.delta == "Disabled")

    @rule(
        "self.personalChannel != 'SingleConnection' || self.presence",
        "SingleConnection needs presence, which lists the user's other connections: set presence to "
        "true, or personalChannel to Enabled",
        field="personalChannel",
    )
    def _single_connection_has_presence(self) -> bool:
        return self.personal_channel != "SingleConnection" or self.presence

    @property
    def write_delay_seconds(self) -> float:
        """`write_delay` in seconds."""
        return duration.milliseconds(self.write_delay) / 1000
