"""Messages between servers on the control channel: a closed set."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from realtime_server.core.model.grant import AS_THE_NAMESPACE, Override
from realtime_server.core.model.revocation import Revocation
from realtime_server.core.ports.api import NodeInfo


class Disconnect(msgspec.Struct, tag="disconnect", frozen=True):
    """Close a user's connections, except for those in `spared`.

    As in the other messages about connections, `client` is "" for all of them, or the id or secret of one; a given
    `session` has to match as well. Without a `user` it is the one connection with this id, whoever's it is.
    """

    user: str
    client: str
    code: int
    reason: str
    spared: tuple[str, ...] = ()
    session: str = ""


class KeepNewest(msgspec.Struct, tag="keep-newest", frozen=True):
    """Close a user's older connections; a newer one makes its worker answer with the same message about it.

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
    """Subscribe a user's connections to a channel, with a recovery from `since` if given."""

    user: str
    client: str
    channel: str
    info: bytes | None = None
    data: bytes | None = None
    expires_at: float | None = None
    since: tuple[int, str] | None = None
    session: str = ""
    override: Override = AS_THE_NAMESPACE


class Send(msgspec.Struct, tag="send", frozen=True):
    """Send a message to a user's connections: JSON in one line or, if `binary`, arbitrary bytes."""

    user: str
    client: str
    data: bytes
    binary: bool = False
    session: str = ""


class Refresh(msgspec.Struct, tag="refresh", frozen=True):
    """Change the expiry of a user's connections: to a Unix time, never (None), or now."""

    user: str
    client: str
    expires_at: float | None = None
    expired: bool = False
    session: str = ""


class Revoke(msgspec.Struct, tag="revoke", frozen=True):
    """Refuse the revoked tokens from now on, and end what they have let in."""

    revocation: Revocation


class AskChannels(msgspec.Struct, tag="ask-channels", frozen=True):
    """Request to send `worker` the subscriber counts of the channels that match a pattern."""

    ident: str
    worker: str
    pattern: str


class TellChannels(msgspec.Struct, tag="tell-channels", frozen=True):
    """Answer to AskChannels; `complete`: it has all matching channels."""

    ident: str
    worker: str
    channels: dict[str, int]
    complete: bool


class Emulate(msgspec.Struct, tag="emulate", frozen=True):
    """Commands of an emulated session of the receiving worker."""

    session: str
    data: bytes


class Notice(msgspec.Struct, tag="notice", frozen=True):
    """Message for those that listen for `name` at the receiving workers; it has no answer."""

    name: str
    data: bytes


class Ask(msgspec.Struct, tag="ask", frozen=True):
    """Request for `name` at the receiving worker, which `worker` waits to be answered for so many seconds."""

    ident: str
    worker: str
    name: str
    request: bytes
    seconds: float


class WithdrawAsk(msgspec.Struct, tag="withdraw-ask", frozen=True):
    """End of an ask: nobody waits for its answer any more."""

    ident: str


class AskOutcome(StrEnum):
    """Outcome of an ask at the worker that was asked.

    UNKNOWN: it does not know the name. LOST: it was without the backplane meanwhile, and has given up.
    """

    ANSWERED = "answered"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    FAILED = "failed"
    LOST = "lost"


class Answer(msgspec.Struct, tag="answer", frozen=True):
    """Answer to Ask; `answer` has a meaning with the outcome ANSWERED only."""

    ident: str
    outcome: AskOutcome
    answer: bytes = b""


class Announce(msgspec.Struct, tag="announce", frozen=True):
    """Announcement of a living worker, with its counts."""

    uid: str
    name: str
    version: str
    clients: int
    users: int
    channels: int
    uptime_seconds: int

    @classmethod
    def of(cls, info: NodeInfo) -> Announce:
        """Make the announcement of a worker."""
        return cls(info.uid, info.name, info.version, info.clients, info.users, info.channels, info.uptime_seconds)

    def to_info(self) -> NodeInfo:
        """Return the announced worker."""
        return NodeInfo(self.uid, self.name, self.version, self.clients, self.users, self.channels, self.uptime_seconds)


class Leave(msgspec.Struct, tag="leave", frozen=True):
    """Announcement of a worker that stops; it is not asked any more."""

    uid: str


Message = (
    Disconnect
    | KeepNewest
    | Unsubscribe
    | Subscribe
    | Send
    | Refresh
    | Revoke
    | Emulate
    | Notice
    | Ask
    | WithdrawAsk
    | Answer
    | AskChannels
    | TellChannels
    | Announce
    | Leave
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """Encode a message."""
    return _encoder.encode(message)


def decode(message: bytes) -> Message | None:
    """Decode a message; None for one of another release, which is ignored."""
    try:
        return _decoder.decode(message)
    except msgspec.DecodeError:
        return None
