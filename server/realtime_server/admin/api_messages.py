"""What callers of the server API send and what they are answered: the types that it decodes, encodes and documents.

Source of names and meanings: Centrifugo's server API. A field that is not here is refused, because to ignore it would
do something else than was asked for. The OpenAPI document is made from these types: see openapi.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from realtime_server import codes
from realtime_server.core.model.grant import Override

MAX_BROADCAST = 10_000
"""Channels in one broadcast."""
MAX_BATCH = 1_000
"""Commands in one batch."""
MAX_KEY_LENGTH = 256
"""Characters of an idempotency key or a version's epoch."""
MAX_USER_LENGTH = 1024
"""Characters of a user whose tokens are revoked: they are kept."""
MAX_OFFSET = 2**53 - 1
"""Redis counts in numbers that are exact up to here."""
MAX_ROOMS = 1_000
"""Rooms of Socket.IO in one list."""
MAX_ACK_SECONDS = 60
"""Seconds that clients of Socket.IO may have to acknowledge an event."""
MAX_SOCKETS = 1_000
"""Sockets of Socket.IO on one page."""
MAX_TIME = 2**40
"""Unix time in seconds, far beyond what anybody means."""

ERRORS = (
    codes.INTERNAL,
    codes.UNKNOWN_CHANNEL,
    codes.PERMISSION_DENIED,
    codes.METHOD_NOT_FOUND,
    codes.LIMIT_EXCEEDED,
    codes.BAD_REQUEST,
    codes.NOT_AVAILABLE,
    codes.UNRECOVERABLE_POSITION,
)
"""All that the API answers with."""

Channel: TypeAlias = Annotated[
    str, Meta(min_length=1, description="Name of a channel: `NAMESPACE:...`, or one without a colon.")
]
User: TypeAlias = Annotated[str, Meta(min_length=1, description="Id of a user.")]
Client: TypeAlias = Annotated[str, Meta(description="One of the user's connections, by its id; empty: all.")]
Session: TypeAlias = Annotated[
    str, Meta(description="One of the user's connections, by the id or by the session that its connect reply has.")
]
Time: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_TIME, description="Unix time in seconds; 0: never.")]
DELTA = (
    "Without effect: a namespace with `delta` sends differences of all its publications to the subscribers that ask for"
    " them. Taken because Centrifugo's clients send it."
)
Data: TypeAlias = Annotated[Raw | UnsetType, Meta(description="Any JSON.")]
Base64: TypeAlias = Annotated[
    str,
    Meta(description="Instead of the field without `b64`: the same in base64.", extra_json_schema={"format": "byte"}),
]


SocketNamespace: TypeAlias = Annotated[
    str, Meta(min_length=1, description="Namespace of Socket.IO, with its slash; `/` is the main one.")
]
Rooms: TypeAlias = Annotated[
    list[str],
    Meta(
        max_length=MAX_ROOMS,
        description="Rooms of Socket.IO: sockets in any of them; empty: all of the namespace. The id of a socket is a"
        " room too.",
    ),
]
Excluded: TypeAlias = Annotated[
    list[str], Meta(max_length=MAX_ROOMS, description="Sockets in any of these rooms are left out.")
]
NamedRooms: TypeAlias = Annotated[list[str], Meta(min_length=1, max_length=MAX_ROOMS)]


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a method takes."""


class Result(Struct, frozen=True, kw_only=True):
    """What a method answers."""


class EmptyRequest(Request, frozen=True, kw_only=True):
    """No fields."""


class Done(Result, frozen=True, kw_only=True):
    """No fields: it is done, or all servers have been told."""


class Position(Request, frozen=True, kw_only=True):
    """A place in a channel's stream."""

    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET)] = 0
    epoch: str = ""


class Publication(Request, frozen=True, kw_only=True):
    """What is published, and how. One of `data` and `b64data` is needed."""

    data: Data = UNSET
    b64data: Annotated[
        str,
        Meta(
            description="Any bytes, in base64; clients of the JSON protocol get base64 if it is not JSON.",
            extra_json_schema={"format": "byte"},
        ),
    ] = ""
    skip_history: Annotated[bool, Meta(description="Deliver it and do not keep it.")] = False
    tags: Annotated[dict[str, str], Meta(description="They go with the publication.")] = {}
    idempotency_key: Annotated[
        str,
        Meta(
            max_length=MAX_KEY_LENGTH,
            description="A second call for the channel with the same key within 5 minutes does nothing, and is answered"
            " as the first was.",
        ),
    ] = ""
    delta: Annotated[bool, Meta(description=DELTA)] = False
    version: Annotated[
        int,
        Meta(
            ge=0,
            le=2**63 - 1,
            description="Above 0, in a channel with history: left out, and answered with the present position, unless"
            " it is newer than the newest of the same `version_epoch`.",
        ),
    ] = 0
    version_epoch: Annotated[
        str, Meta(max_length=MAX_KEY_LENGTH, description="What `version` counts in; another one begins anew.")
    ] = ""


class Publish(Publication, frozen=True, kw_only=True):
    """Publish to a channel."""

    channel: Channel


class Published(Result, frozen=True, kw_only=True):
    """The position of the publication, in a channel with history."""

    offset: int | UnsetType = UNSET
    epoch: str | UnsetType = UNSET


class Broadcast(Publication, frozen=True, kw_only=True):
    """Publish the same to several channels."""

    channels: Annotated[list[str], Meta(min_length=1, max_length=MAX_BROADCAST)]


class Error(Struct, frozen=True):
    """Why a call failed."""

    code: Annotated[int, Meta(description="\n".join(f"- {error.code}: {error.message}" for error in ERRORS),
                              extra_json_schema={"enum": [error.code for error in ERRORS]})]  # fmt: skip
    message: Annotated[str, Meta(description="For people: the meaning of the code, and what would be right.")]


class BroadcastResponse(Struct, frozen=True):
    """What became of one channel: one of the two."""

    result: Published | UnsetType = UNSET
    error: Error | UnsetType = UNSET


class Broadcasted(Result, frozen=True, kw_only=True):
    """One response for each channel, in their order."""

    responses: list[BroadcastResponse]


class Subscribe(Request, frozen=True, kw_only=True):
    """Subscribe a user's connections to a channel. It needs no permission of the namespace."""

    user: User
    channel: Channel
    client: Client = ""
    session: Session = ""
    info: Annotated[Raw | UnsetType, Meta(description="Any JSON that others in the channel see of the client.")] = UNSET
    b64info: Base64 = ""
    data: Annotated[Raw | UnsetType, Meta(description="Any JSON that the client gets with its subscription.")] = UNSET
    b64data: Base64 = ""
    expire_at: Time = 0
    recover_since: Annotated[
        Position | None,
        Meta(description="First give it what it missed since then. Only where the subscription has recovery."),
    ] = None
    override: Annotated[
        Override | None, Meta(description="What is different for this subscription from the options of the namespace.")
    ] = None


class Unsubscribe(Request, frozen=True, kw_only=True):
    """End a user's subscriptions to a channel."""

    user: User
    channel: Channel
    client: Client = ""
    session: Session = ""


class DisconnectCode(Request, frozen=True, kw_only=True):
    """What the client is told: the close code of a WebSocket.

    SDKs come back unless the code is from 3500 to 3999 or from 4500 to 4999.
    """

    code: Annotated[int, Meta(ge=3000, le=4999)]
    reason: Annotated[
        str, Meta(description="Else that of the code. At most 123 bytes of it arrive. Not JSON: SDKs would act on it.")
    ] = ""


class Disconnect(Request, frozen=True, kw_only=True):
    """Close a user's connections, one connection of any user, or sockets of Socket.IO.

    A socket that is disconnected for good does not close its connection, unless it is the last one on it.
    """

    user: Annotated[str, Meta(description="Id of a user; empty: the connection with the id `client`, whoever's.")] = ""
    client: Client = ""
    session: Session = ""
    whitelist: Annotated[list[str], Meta(max_length=MAX_BATCH, description="Connections that are spared.")] = []
    disconnect: Annotated[DisconnectCode | None, Meta(description="Else 3503: for good.")] = None
    namespace: Annotated[
        str,
        Meta(
            description="Namespace of Socket.IO, whose sockets are meant, those of any user; without `user`, `client`."
        ),
    ] = ""
    rooms: Rooms = []
    excluded: Excluded = field(name="except", default=[])
    close: Annotated[
        bool, Meta(description="With `namespace`: also the sockets of other namespaces on the same connections.")
    ] = False


class OfSockets(Request, frozen=True, kw_only=True):
    """Sockets of a namespace of Socket.IO, on all servers."""

    namespace: SocketNamespace = "/"
    rooms: Rooms = []
    excluded: Excluded = field(name="except", default=[])


class Emit(OfSockets, frozen=True, kw_only=True):
    """Send an event to sockets of Socket.IO. It is not kept; use `publish` for what clients shall not miss.

    In `args` an object with the one field `b64data` is binary data, wherever it is.
    """

    event: Annotated[str, Meta(min_length=1, description="Name of the event; not a reserved one, as `connect`.")]
    args: Annotated[list[Raw], Meta(description="Arguments of the event, any JSON.")] = []
    volatile: Annotated[bool, Meta(description="Clients that read too slowly are left out.")] = False
    ack_timeout: Annotated[
        Annotated[float, Meta(gt=0, le=MAX_ACK_SECONDS)] | None,
        Meta(
            description="Seconds in which to collect the acknowledgements of the clients; absent: none are asked for."
        ),
    ] = None


class SocketAck(Struct, frozen=True):
    """Acknowledgement of a socket: its arguments, binary ones as objects with `b64data`.

    `data` is absent when it was too large, or those of all sockets together.
    """

    client: str
    data: Raw | UnsetType = UNSET


class Emitted(Result, frozen=True, kw_only=True):
    """With `ack_timeout`: what was acknowledged, and the ids of the sockets that have not done so, or have left.

    `complete`: false when a server did not answer; its sockets are in neither list, and may have got the event.
    """

    acks: list[SocketAck] | UnsetType = UNSET
    unanswered: list[str] | UnsetType = UNSET
    complete: bool | UnsetType = UNSET


class Join(OfSockets, frozen=True, kw_only=True):
    """Have sockets of Socket.IO join rooms. It needs no permission of the channel namespace."""

    join: NamedRooms


class Leave(OfSockets, frozen=True, kw_only=True):
    """Have sockets of Socket.IO leave rooms."""

    leave: NamedRooms


class Moved(Result, frozen=True, kw_only=True):
    """The number of sockets, of which each is in the rooms now, or in none of them, also after a recovery."""

    num_sockets: int


class Sockets(OfSockets, frozen=True, kw_only=True):
    """Sockets of Socket.IO, in the order of their ids."""

    limit: Annotated[int, Meta(ge=1, le=MAX_SOCKETS, description="At most so many on a page.")] = 100
    after: Annotated[str, Meta(max_length=MAX_KEY_LENGTH, description="Those after this id: `next` of a page.")] = ""


class Socket(Struct, frozen=True):
    """A connected socket. `rooms`: without its own id; `transport`: `websocket` or `polling`."""

    client: str
    user: str
    rooms: list[str]
    transport: str
    conn_info: Raw | UnsetType = UNSET


class FoundSockets(Result, frozen=True, kw_only=True):
    """A page of sockets, the number of all, and for `after` of the next page `next`; absent on the last one."""

    sockets: list[Socket]
    num_sockets: int
    next: str | UnsetType = UNSET


class Send(Request, frozen=True, kw_only=True):
    """Send a message to a user's connections, or to one connection of any user. One of `data` and `b64data` is needed.

    It has no channel and is not kept. A plain client gets it as it gets publications, an SDK as its event `message`.
    """

    user: Annotated[str, Meta(description="Id of a user; empty: the connection with the id `client`, whoever's.")] = ""
    client: Client = ""
    session: Session = ""
    data: Data = UNSET
    b64data: Base64 = ""


class Refresh(Request, frozen=True, kw_only=True):
    """Change when a user's connections expire."""

    user: User
    client: Client = ""
    session: Session = ""
    expired: Annotated[bool, Meta(description="They end now.")] = False
    expire_at: Time = 0


class Revoke(Request, frozen=True, kw_only=True):
    """Revoke tokens: what they have let in ends, and they are refused from now on.

    Either the token with `jti`, or the tokens of `user` that were issued before a time, or without `user` those of all
    users. A token without `iat` counts as issued before any time, and a client that the connect hook let in as issued
    when it was let in.
    """

    jti: Annotated[str, Meta(max_length=MAX_KEY_LENGTH, description="Id of one token (claim `jti`).")] = ""
    user: Annotated[
        str,
        Meta(max_length=MAX_USER_LENGTH, description="Id of a user (claim `sub`): all tokens issued before the time."),
    ] = ""
    issued_before: Annotated[
        Annotated[int, Meta(ge=0, le=MAX_TIME)] | None,
        Meta(
            description="Unix time in seconds, compared with the claim `iat`; not in the future. Absent: now, this"
            " second included."
        ),
    ] = None
    expire_at: Annotated[
        Annotated[int, Meta(ge=0, le=MAX_TIME)] | None,
        Meta(
            description="Unix time in seconds when all these tokens have expired: so long the revocation is kept."
            " Absent: for as long as the servers are set to. A token that is valid for longer is accepted again then."
        ),
    ] = None


class Revoked(Result, frozen=True, kw_only=True):
    """Until when the revocation is kept: Unix time in seconds."""

    expire_at: int


class OfChannel(Request, frozen=True, kw_only=True):
    """A channel."""

    channel: Channel


class ClientInfo(Struct, frozen=True):
    """A connection, as others in a channel see it."""

    user: str
    client: str
    conn_info: Raw | UnsetType = UNSET
    chan_info: Raw | UnsetType = UNSET


class Presence(Result, frozen=True, kw_only=True):
    """All connections in the channel, by their ids."""

    presence: dict[str, ClientInfo]


class PresenceStats(Result, frozen=True, kw_only=True):
    """How many connections and how many different users the channel has."""

    num_clients: int
    num_users: int


class History(Request, frozen=True, kw_only=True):
    """A part of a channel's stream."""

    channel: Channel
    limit: Annotated[
        int,
        Meta(
            ge=-1,
            le=2**31 - 1,
            description="At most so many publications; 0: the position alone, -1: all that is kept.",
        ),
    ] = 0
    since: Annotated[Position | None, Meta(description="Those after this position (before it when `reverse`).")] = None
    reverse: Annotated[bool, Meta(description="The newest first.")] = False


class KeptPublication(Struct, frozen=True):
    """A publication of a history. `info`: the client that published it."""

    data: Raw
    info: ClientInfo | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET
    offset: int | UnsetType = UNSET


class HistoryPage(Result, frozen=True, kw_only=True):
    """Publications in the order asked for, and the position of the newest one of the stream."""

    publications: list[KeptPublication]
    epoch: str
    offset: int


class Channels(Request, frozen=True, kw_only=True):
    """Channels that have subscribers."""

    pattern: Annotated[
        str, Meta(max_length=255, description="`*` stands for any characters, `?` for one; empty: all channels.")
    ] = ""


class ChannelInfo(Struct, frozen=True):
    """How many connections are subscribed."""

    num_clients: int


class FoundChannels(Result, frozen=True, kw_only=True):
    """The channels, by their names."""

    channels: dict[str, ChannelInfo]


class NodeInfo(Struct, frozen=True):
    """One worker of the cluster; `uptime` in seconds."""

    uid: str
    name: str
    version: str
    num_clients: int
    num_users: int
    num_channels: int
    uptime: int


class Info(Result, frozen=True, kw_only=True):
    """All workers that reported in the last seconds; first the one that answers."""

    nodes: list[NodeInfo]


class Batch(Request, frozen=True, kw_only=True):
    """Several commands, each an object with one field: the method's name, and in it what the method takes."""

    commands: Annotated[list[dict[str, Raw]], Meta(min_length=1, max_length=MAX_BATCH)]
    parallel: Annotated[
        bool, Meta(description="All at once, in no order; else one after the other, also after one has failed.")
    ] = False
