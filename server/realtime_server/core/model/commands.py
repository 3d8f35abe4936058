"""Commands and results as core knows them.

Names and defaults follow the client protocol, so that a protocol can decode straight into them. JSON values that
only pass through (`data`, `info`) stay raw.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from realtime_server.core.model.values import ClientInfo, HistoryPage, Publication


class SubscribeRequest(Struct, frozen=True, gc=False):
    """Subscribe to a channel, or take up a subscription that was cut off."""

    channel: str = ""
    token: str = ""
    recover: bool = False
    epoch: str = ""
    offset: int = 0
    data: Raw = Raw()
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    delta: str = ""
    flag: int = 0
    type: int = 0
    tf: Raw = Raw()
    """A filter of publications; known to be refused."""


class ConnectRequest(Struct, frozen=True, gc=False):
    """Open the session; comes first."""

    token: str = ""
    data: Raw = Raw()
    subs: dict[str, SubscribeRequest] = {}
    name: str = ""
    version: str = ""
    headers: dict[str, str] = {}
    flag: int = 0


class ChannelRequest(Struct, frozen=True, gc=False):
    """A command that needs nothing but a channel: unsubscribe, presence, presence_stats."""

    channel: str = ""


class PublishRequest(Struct, frozen=True, gc=False):
    """Publish to a channel."""

    channel: str = ""
    data: Raw = Raw()
    type: int = 0
    key: str = ""
    removed: bool = False


class Since(Struct, frozen=True, gc=False):
    """A position to read from."""

    offset: int = 0
    epoch: str = ""


class HistoryRequest(Struct, frozen=True, gc=False):
    """Read a channel's history."""

    channel: str = ""
    limit: int = 0
    since: Since | None = None
    reverse: bool = False


class RpcRequest(Struct, frozen=True, gc=False):
    """Call the backend."""

    method: str = ""
    data: Raw = Raw()


class SendRequest(Struct, frozen=True, gc=False):
    """A message to the backend, without an answer."""

    data: Raw = Raw()


class RefreshRequest(Struct, frozen=True, gc=False):
    """A new connection token."""

    token: str = ""


class SubRefreshRequest(Struct, frozen=True, gc=False):
    """A new subscription token."""

    channel: str = ""
    token: str = ""
    type: int = 0


class PingRequest(Struct, frozen=True, gc=False):
    """Clients do not ping, servers do; known to be refused."""


class Command(Struct, frozen=True, gc=False):
    """One command: exactly one of its requests is set; none is the answer to a ping."""

    id: int = 0
    connect: ConnectRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: ChannelRequest | None = None
    publish: PublishRequest | None = None
    presence: ChannelRequest | None = None
    presence_stats: ChannelRequest | None = None
    history: HistoryRequest | None = None
    rpc: RpcRequest | None = None
    send: SendRequest | None = None
    refresh: RefreshRequest | None = None
    sub_refresh: SubRefreshRequest | None = None
    ping: PingRequest | None = None


PONG = Command()


class MalformedCommand(Command, frozen=True, gc=False):
    """A command whose envelope could be read and whose request could not: fails with error 107.

    Its request is empty, and there only for those that are legal at other times than the rest: connect, send, ping.
    """


def malformed(identifier: int, name: str) -> MalformedCommand:
    """Make a MalformedCommand from the id and the name in its envelope."""
    match name:
        case "connect":
            return MalformedCommand(identifier, connect=ConnectRequest())
        case "send":
            return MalformedCommand(identifier, send=SendRequest())
        case "ping":
            return MalformedCommand(identifier, ping=PingRequest())
        case _:
            return MalformedCommand(identifier)


def payload_bytes(command: Command) -> int:
    """Return how much a command brings besides its token and its channels: what `message_bytes` bounds."""
    if command.connect is not None:
        connect = command.connect
        headers = sum(len(name) + len(value) for name, value in connect.headers.items())
        return len(bytes(connect.data)) + headers + len(connect.name) + len(connect.version)
    if command.rpc is not None:
        return len(bytes(command.rpc.data)) + len(command.rpc.method)
    if command.subscribe is not None:
        return len(bytes(command.subscribe.data)) + len(bytes(command.subscribe.tf))
    if command.publish is not None:
        return len(bytes(command.publish.data)) + len(command.publish.key)
    return 0 if command.send is None else len(bytes(command.send.data))


def token_of(command: Command) -> str:
    """The token that a command brings, "" for none."""
    request = command.connect or command.subscribe or command.refresh or command.sub_refresh
    return request.token if request is not None else ""


class SubscribeResult(Struct, frozen=True):
    """What became of a subscription.

    `ttl` in seconds until it has to be renewed; with `delta` the data of its publications may come as differences.
    """

    recoverable: bool = False
    positioned: bool = False
    epoch: str = ""
    offset: int = 0
    publications: tuple[Publication, ...] = ()
    recovered: bool = False
    was_recovering: bool = False
    expires: bool = False
    ttl: int = 0
    data: Raw = Raw()
    delta: bool = False


class ConnectResult(Struct, frozen=True):
    """The open session. `ping` in seconds, 0 for none; `ttl` in seconds until the token expires.

    `session` and `node` say where a client sends its commands whose transport carries only what it receives.
    """

    client: str
    version: str
    ping: int
    pong: bool
    expires: bool = False
    ttl: int = 0
    subs: dict[str, SubscribeResult] = {}
    data: Raw = Raw()
    session: str = ""
    node: str = ""


class RefreshResult(Struct, frozen=True):
    """The token was renewed."""

    client: str
    version: str
    expires: bool
    ttl: int


class SubRefreshResult(Struct, frozen=True):
    """The subscription's token was renewed; `ttl` in seconds."""

    expires: bool
    ttl: int


class RpcResult(Struct, frozen=True):
    """What the backend answered."""

    data: Raw


class EmptyResult(Struct, frozen=True):
    """Done: `method` is the name of the command, unsubscribe or publish."""

    method: str


class PresenceResult(Struct, frozen=True):
    """Who is subscribed, by client id."""

    presence: dict[str, ClientInfo]


class PresenceStatsResult(Struct, frozen=True):
    """How many are subscribed."""

    num_clients: int
    num_users: int


class HistoryResult(Struct, frozen=True):
    """A part of a stream."""

    page: HistoryPage


Result = (
    ConnectResult
    | SubscribeResult
    | RefreshResult
    | SubRefreshResult
    | RpcResult
    | EmptyResult
    | PresenceResult
    | PresenceStatsResult
    | HistoryResult
)
