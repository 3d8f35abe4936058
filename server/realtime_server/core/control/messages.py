"""What servers tell each other: a closed set of messages on the control channel."""

from __future__ import annotations

import msgspec

from realtime_server.core.model.grant import AS_THE_NAMESPACE, Override
from realtime_server.core.model.revocation import Revocation
from realtime_server.core.ports.api import NodeInfo


class Disconnect(msgspec.Struct, tag="disconnect", frozen=True):
    """Close a user's connections, except for those in `spared`.

    As in the other messages about connections, `client` is "" for all of them, or the id or session of one, and if
    `session` is given it has to be one of the two as well.
    """

    user: str
    client: str
    code: int
    reason: str
    spared: tuple[str, ...] = ()
    session: str = ""


class KeepNewest(msgspec.Struct, tag="keep-newest", frozen=True):
    """Close a user's connections that are older than this one; a newer one answers with the same about itself.

    `admitted_at` is Unix time in seconds, by the clock of the connection's server.
    """

    user: str
    client: str
    admitted_at: float


class Unsubscribe(msgspec.Struct, tag="unsubscribe", frozen=True):
    """End a user's subscriptions to a channel."""

    user: str
    client: str
    channel: str
    session: str = ""


class Subscribe(msgspec.Struct, tag="subscribe", frozen=True):
    """Subscribe a user's connections to a channel; with `since` from there on."""

    user: str
    client: str
    channel: str
    info: bytes | None = None
    data: bytes | None = None
    expires_at: float | None = None
    since: tuple[int, str] | None = None
    session: str = ""
    override: Override = AS_THE_NAMESPACE


class Refresh(msgspec.Struct, tag="refresh", frozen=True):
    """Change when a user's connections expire: at a Unix time, never (None), or now."""

    user: str
    client: str
    expires_at: float | None = None
    expired: bool = False
    session: str = ""


class Revoke(msgspec.Struct, tag="revoke", frozen=True):
    """Refuse tokens from now on, and end what they have let in."""

    revocation: Revocation


class AskChannels(msgspec.Struct, tag="ask-channels", frozen=True):
    """Tell `worker` how many subscribers the channels have whose names match."""

    ident: str
    worker: str
    pattern: str


class TellChannels(msgspec.Struct, tag="tell-channels", frozen=True):
    """The answer to AskChannels; `complete`: these are all of them."""

    ident: str
    worker: str
    channels: dict[str, int]
    complete: bool


class Emulate(msgspec.Struct, tag="emulate", frozen=True):
    """Commands of a client whose connection, of the worker that gets this, carries only what it receives."""

    session: str
    data: bytes


class Announce(msgspec.Struct, tag="announce", frozen=True):
    """A worker lives, and what it has."""

    uid: str
    name: str
    version: str
    clients: int
    users: int
    channels: int
    uptime_seconds: int

    @classmethod
    def of(cls, info: NodeInfo) -> Announce:
        """The message that tells of a worker."""
        return cls(info.uid, info.name, info.version, info.clients, info.users, info.channels, info.uptime_seconds)

    def to_info(self) -> NodeInfo:
        """What it tells."""
        return NodeInfo(self.uid, self.name, self.version, self.clients, self.users, self.channels, self.uptime_seconds)


Message = (
    Disconnect
    | KeepNewest
    | Unsubscribe
    | Subscribe
    | Refresh
    | Revoke
    | Emulate
    | AskChannels
    | TellChannels
    | Announce
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """The message as bytes."""
    return _encoder.encode(message)


def decode(message: bytes) -> Message | None:
    """The message; None for one of another release, which is ignored."""
    try:
        return _decoder.decode(message)
    except msgspec.DecodeError:
        return None
