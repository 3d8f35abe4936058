"""Commands and results of core.

Names and defaults follow the client protocol, so that a protocol can decode straight into them. JSON values that only
pass through (`data`, `info`) stay raw.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from realtime_server.core.model.values import ClientInfo, HistoryPage, Publication


class SubscribeRequest(Struct, frozen=True, gc=False):
    """Request to subscribe to a channel, or to resume a subscription."""

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
    """Filter of publications, which is always refused."""


class ConnectRequest(Struct, frozen=True, gc=False):
    """Request to open the session, the first one of a client."""

    token: str = ""
    data: Raw = Raw()
    subs: dict[str, SubscribeRequest] = {}
    name: str = ""
    version: str = ""
    headers: dict[str, str] = {}
    flag: int = 0


class ChannelRequest(Struct, frozen=True, gc=False):
    """Request with a channel alone: unsubscribe, presence, presence_stats."""

    channel: str = ""


class PublishRequest(Struct, frozen=True, gc=False):
    """Request to publish to a channel."""

    channel: str = ""
    data: Raw = Raw()
    type: int = 0
    key: str = ""
    removed: bool = False


class Since(Struct, frozen=True, gc=False):
    """Position to read from."""

    offset: int = 0
    epoch: str = ""


class HistoryRequest(Struct, frozen=True, gc=False):
    """Request to read a channel's history."""

    channel: str = ""
    limit: int = 0
    since: Since | None = None
    reverse: bool = False


class RpcRequest(Struct, frozen=True, gc=False):
    """Request to call the backend."""

    method: str = ""
    data: Raw = Raw()


class SendRequest(Struct, frozen=True, gc=False):
    """Message to the backend without a reply."""

    data: Raw = Raw()


class RefreshRequest(Struct, frozen=True, gc=False):
    """Request to refresh the connection with a new token."""

    token: str = ""


class SubRefreshRequest(Struct, frozen=True, gc=False):
    """Request to refresh a subscription with a new token."""

    channel: str = ""
    token: str = ""
    type: int = 0


class PingRequest(Struct, frozen=True, gc=False):
    """Ping of a client, which is always refused: only servers ping."""


class Command(Struct, frozen=True, gc=False):
    """Command: exactly one of its requests is set; a command without a request answers a ping."""

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
    """Command whose envelope could be read, but not its request: it fails with error 107.

    An empty request is set only for connect, send and ping, whose legality differs from the others.
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
    """Return the size of a command without its token and its channels, which `message_bytes` bounds."""
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
    """Return the token of a command, "" for none."""
    request = command.connect or command.subscribe or command.refresh or command.sub_refresh
    return request.token if request is not None else ""


class SubscribeResult(Struct, frozen=True):
    """Result of a subscription.

    `ttl` is in seconds until the client has to refresh it; with `delta` the data of publications may be deltas.
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
    """Result of a connect. `ping` in seconds, 0 for none; `ttl` in seconds until the token expires.

    `session` and `node` are the address for commands of a client whose connection is one-way.
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
    """Result of a refreshed connection; `ttl` in seconds."""

    client: str
    version: str
    expires: bool
    ttl: int


class SubRefreshResult(Struct, frozen=True):
    """Result of a refreshed subscription; `ttl` in seconds."""

    expires: bool
    ttl: int


class RpcResult(Struct, frozen=True):
    """Result of a call to the backend."""

    data: Raw


class EmptyResult(Struct, frozen=True):
    """Result without content; `method` is the name of the command, unsubscribe or publish."""

    method: str


class PresenceResult(Struct, frozen=True):
    """Result with the subscribers of a channel, by client id."""

    presence: dict[str, ClientInfo]


class PresenceStatsResult(Struct, frozen=True):
    """Result with the numbers of subscribers and of distinct users."""

    num_clients: int
    num_users: int


class HistoryResult(Struct, frozen=True):
    """Result with a part of a stream."""

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
