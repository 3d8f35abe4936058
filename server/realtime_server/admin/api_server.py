"""The HTTP server API of Centrifugo: `POST /api/METHOD` for the user's backend."""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

from realtime_server import codes
from realtime_server.admin.api_keys import ApiKey, ApiKeys
from realtime_server.admin.responses import error_response, json_response
from realtime_server.codes import DisconnectCode, ErrorCode
from realtime_server.core.grant import Grant
from realtime_server.core.ports import BackplaneError, CommandError, Message, RealtimeApi
from realtime_server.core.publication import as_json
from realtime_server.core.values import HistoryPage, HistoryQuery, StreamPosition
from realtime_server.protocols.centrifuge.json_values import encode_client_info, encode_publication

logger = structlog.get_logger()

BODY_BYTES = 8 * 1024 * 1024
"""Largest body that a call takes."""
MAX_BROADCAST = 10_000
"""Channels in one broadcast."""
MAX_KEY_LENGTH = 256
"""Characters of an idempotency key or a version's epoch."""
MOST_VERSIONS = 2**63
MAX_BATCH = 1_000
"""Commands in one batch."""
BATCH = "batch"


class NotSupportedError(Exception):
    """A field that would change what the call does, and that this server does not know how to follow."""


class Publish(msgspec.Struct):
    """Publish to a channel (`channel`) or to several (`channels`)."""

    channel: str = ""
    channels: list[str] = []
    data: msgspec.Raw = msgspec.Raw()
    b64data: str = ""
    skip_history: bool = False
    tags: dict[str, str] = {}
    idempotency_key: str = ""
    delta: bool = False
    version: int = 0
    version_epoch: str = ""


class Code(msgspec.Struct):
    """The code of a disconnect."""

    code: int
    reason: str = ""


class Target(msgspec.Struct):
    """Whom a call is about: all connections of a user, or the one that `client` or `session` names."""

    user: str = ""
    client: str = ""
    channel: str = ""
    disconnect: Code | None = None
    session: str = ""
    whitelist: list[str] = []


class Position(msgspec.Struct):
    """A position of a stream."""

    offset: int = 0
    epoch: str = ""


class Subscribe(msgspec.Struct):
    """Subscribe a user's connections to a channel."""

    user: str = ""
    channel: str = ""
    client: str = ""
    session: str = ""
    info: msgspec.Raw = msgspec.Raw()
    b64info: str = ""
    data: msgspec.Raw = msgspec.Raw()
    b64data: str = ""
    expire_at: int = 0
    recover_since: Position | None = None
    override: msgspec.Raw = msgspec.Raw()


class Refresh(msgspec.Struct):
    """Change when a user's connections expire: at a Unix time in seconds, never (0), or now (`expired`)."""

    user: str = ""
    client: str = ""
    session: str = ""
    expired: bool = False
    expire_at: int = 0


class Channels(msgspec.Struct):
    """Channels that have subscribers."""

    pattern: str = ""


class History(msgspec.Struct):
    """A part of a stream."""

    channel: str = ""
    limit: int = 0
    since: Position | None = None
    reverse: bool = False


class Batch(msgspec.Struct):
    """Several commands, each an object with one field: the method's name, and in it what the method takes."""

    commands: list[dict[str, msgspec.Raw]] = []
    parallel: bool = False


class ApiHandlers:
    """One handler for each method; each returns the result's JSON object."""

    def __init__(self, api: RealtimeApi, data_bytes: int) -> None:
        self._api = api
        self._data_bytes = data_bytes
        self.methods: dict[str, Callable[[bytes], Awaitable[object]]] = {
            "publish": self.publish,
            "broadcast": self.broadcast,
            "presence": self.presence,
            "presence_stats": self.presence_stats,
            "history": self.history,
            "history_remove": self.history_remove,
            "subscribe": self.subscribe,
            "unsubscribe": self.unsubscribe,
            "disconnect": self.disconnect,
            "refresh": self.refresh,
            "channels": self.channels,
            "info": self.info,
        }

    async def publish(self, body: bytes) -> object:
        """Publish to one channel: offset and epoch where the channel has a history."""
        request = msgspec.json.decode(body, type=Publish)
        return await self._publish(_required(request.channel), self._message(request))

    async def broadcast(self, body: bytes) -> object:
        """Publish the same to several channels: a result or an error for each."""
        request = msgspec.json.decode(body, type=Publish)
        if not request.channels or len(request.channels) > MAX_BROADCAST:
            raise CommandError(codes.BAD_REQUEST)
        message = self._message(request)
        responses = []
        for channel in request.channels:
            try:
                responses.append({"result": await self._publish(_required(channel), message)})
            except CommandError as error:
                responses.append({"error": _error(error.error)})
        return {"responses": responses}

    async def _publish(self, channel: str, message: Message) -> object:
        position = await self._api.publish(channel, message)
        return {} if position is None else {"offset": position.offset, "epoch": position.epoch}

    def _message(self, request: Publish) -> Message:
        """What is published; raises CommandError."""
        data = _from_base64(request.b64data) if request.b64data else bytes(request.data)
        if not data or len(request.idempotency_key) > MAX_KEY_LENGTH or len(request.version_epoch) > MAX_KEY_LENGTH:
            raise CommandError(codes.BAD_REQUEST)
        if not 0 <= request.version < MOST_VERSIONS:
            raise CommandError(codes.BAD_REQUEST)
        if len(data) > self._data_bytes:
            raise CommandError(codes.LIMIT_EXCEEDED)
        return Message(
            data,
            binary=bool(request.b64data),
            tags=request.tags or None,
            skip_history=request.skip_history,
            idempotency_key=request.idempotency_key,
            version=request.version,
            version_epoch=request.version_epoch,
            delta=request.delta,
        )

    async def presence(self, body: bytes) -> object:
        """Who is subscribed."""
        members = await self._api.presence(_required(msgspec.json.decode(body, type=Target).channel))
        return {"presence": {client: msgspec.Raw(encode_client_info(info)) for client, info in members.items()}}

    async def presence_stats(self, body: bytes) -> object:
        """How many are subscribed."""
        stats = await self._api.presence_stats(_required(msgspec.json.decode(body, type=Target).channel))
        return {"num_clients": stats.clients, "num_users": stats.users}

    async def history(self, body: bytes) -> object:
        """A part of a channel's stream, and its position."""
        request = msgspec.json.decode(body, type=History)
        since = StreamPosition(request.since.offset, request.since.epoch) if request.since is not None else None
        page = await self._api.history(_required(request.channel), HistoryQuery(request.limit, since, request.reverse))
        return _history(page)

    async def history_remove(self, body: bytes) -> object:
        """Drop what is kept of a channel."""
        await self._api.history_remove(_required(msgspec.json.decode(body, type=Target).channel))
        return {}

    async def subscribe(self, body: bytes) -> object:
        """Subscribe a user's connections to a channel."""
        request = msgspec.json.decode(body, type=Subscribe)
        if bytes(request.override) not in {b"", b"null", b"{}"}:
            raise NotSupportedError("override")
        info = bytes(request.info) or None
        if request.b64info:
            info = as_json(_from_base64(request.b64info))
            if info is None:
                raise CommandError(codes.BAD_REQUEST)
        data = _from_base64(request.b64data) if request.b64data else bytes(request.data) or None
        grant = Grant(info=info, data=data, expires_at=float(request.expire_at) or None)
        since = request.recover_since
        await self._api.subscribe(
            _required(request.user),
            _required(request.channel),
            grant,
            client=_connection(request),
            since=None if since is None else StreamPosition(since.offset, since.epoch),
        )
        return {}

    async def unsubscribe(self, body: bytes) -> object:
        """End a user's subscriptions to a channel."""
        request = msgspec.json.decode(body, type=Target)
        await self._api.unsubscribe(_required(request.user), _required(request.channel), client=_connection(request))
        return {}

    async def disconnect(self, body: bytes) -> object:
        """Close a user's connections."""
        request = msgspec.json.decode(body, type=Target)
        code = None
        if request.disconnect is not None:
            if not 3000 <= request.disconnect.code <= 4999:
                raise CommandError(codes.BAD_REQUEST)
            code = DisconnectCode(request.disconnect.code, request.disconnect.reason)
        await self._api.disconnect(
            _required(request.user), client=_connection(request), code=code, spared=request.whitelist
        )
        return {}

    async def refresh(self, body: bytes) -> object:
        """Change when a user's connections expire."""
        request = msgspec.json.decode(body, type=Refresh)
        await self._api.refresh(
            _required(request.user),
            client=_connection(request),
            expires_at=float(request.expire_at) or None,
            expired=request.expired,
        )
        return {}

    async def channels(self, body: bytes) -> object:
        """Channels that have subscribers, and how many."""
        found = await self._api.channels(msgspec.json.decode(body, type=Channels).pattern)
        return {"channels": {channel: {"num_clients": count} for channel, count in sorted(found.items())}}

    async def info(self, body: bytes) -> object:
        """All workers of the cluster."""
        msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        return {
            "nodes": [
                {
                    "uid": node.uid,
                    "name": node.name,
                    "version": node.version,
                    "num_clients": node.clients,
                    "num_users": node.users,
                    "num_channels": node.channels,
                    "uptime": node.uptime_seconds,
                }
                for node in await self._api.info()
            ]
        }


def _required(value: str) -> str:
    if not value:
        raise CommandError(codes.BAD_REQUEST)
    return value


def _connection(request: Subscribe | Refresh | Target) -> str:
    """The one connection that a call is about, "" for all: a session has the id of its connection."""
    if request.client and request.session and request.client != request.session:
        raise CommandError(codes.BAD_REQUEST)
    return request.client or request.session


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise CommandError(codes.BAD_REQUEST) from error


def _history(page: HistoryPage) -> object:
    return {
        "publications": [msgspec.Raw(encode_publication(publication)) for publication in page.publications],
        "epoch": page.position.epoch,
        "offset": page.position.offset,
    }


def _error(error: ErrorCode, why: str = "") -> dict[str, object]:
    return {"code": error.code, "message": f"{error.message}: {why}" if why else error.message}


class ApiServer:
    """The site: checks the key, calls the method, translates errors. `requests` counts by method and HTTP status.

    `data_bytes` is the largest publication that is taken.
    """

    def __init__(
        self,
        api: RealtimeApi,
        keys: ApiKeys,
        *,
        data_bytes: int = BODY_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handlers = ApiHandlers(api, data_bytes)
        self._keys = keys
        self._clock = clock
        self.requests: Counter[tuple[str, int]] = Counter()

    def application(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application(client_max_size=BODY_BYTES)
        application.router.add_post("/api/{method}", self._serve)
        application.router.add_get("/health", _health)
        return application

    async def _serve(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        response = await self._answer(request, method)
        self._count(method, response.status)
        return response

    def _count(self, method: str, status: int) -> None:
        known = method in self._handlers.methods or method == BATCH
        self.requests[method if known else "unknown", status] += 1

    async def _answer(self, request: web.Request, method: str) -> web.Response:
        key = self._keys.find(_given(request))
        if key is None:
            return error_response(401, "unauthorized: send the API key in the header X-API-Key")
        try:
            body = await request.read() or b"{}"
            body.decode()  # the JSON decoder does not look into the strings of raw data
            document = await (self._batch(key, body) if method == BATCH else self._result(key, method, body))
        except TooManyCallsError as error:
            response = error_response(429, str(error))
            response.headers["Retry-After"] = str(error.seconds)
            return response
        except web.HTTPRequestEntityTooLarge:
            return error_response(413, f"the body is larger than {BODY_BYTES} bytes")
        except web.RequestPayloadError:
            return error_response(400, "the body is not what its headers say")
        except UnicodeDecodeError:
            return error_response(400, "the body is not JSON: it is not UTF-8")
        except RecursionError:
            return error_response(400, "the body is nested too deeply")
        except FAILURES as error:
            return json_response({"error": _failure(method, error)})
        except msgspec.DecodeError as error:
            return error_response(400, f"the body is not JSON: {error}")
        return web.Response(body=msgspec.json.encode(document), content_type="application/json")

    async def _result(self, key: ApiKey, method: str, body: bytes) -> dict[str, object]:
        self._count_calls(key, 1)
        return {"result": await self._call(key, method, body)}

    async def _batch(self, key: ApiKey, body: bytes) -> dict[str, object]:
        """A reply for each command, in their order: the method's name with its result, or an error.

        Commands follow one another, also after one has failed; with `parallel` they run at once.
        """
        batch = msgspec.json.decode(body, type=Batch)
        if not batch.commands or len(batch.commands) > MAX_BATCH:
            raise CommandError(codes.BAD_REQUEST)
        self._count_calls(key, len(batch.commands))
        if batch.parallel:
            return {"replies": await asyncio.gather(*(self._reply(key, command) for command in batch.commands))}
        return {"replies": [await self._reply(key, command) for command in batch.commands]}

    async def _reply(self, key: ApiKey, command: dict[str, msgspec.Raw]) -> dict[str, object]:
        try:
            ((method, body),) = command.items()
        except ValueError:
            return {"error": _error(codes.BAD_REQUEST)}
        try:
            reply: dict[str, object] = {method: await self._call(key, method, bytes(body))}
        except FAILURES as error:
            reply = {"error": _failure(method, error)}
        self._count(method, 200)
        return reply

    def _count_calls(self, key: ApiKey, count: int) -> None:
        """Raises TooManyCallsError above the rate of the key."""
        if key.calls is not None and not key.calls.take(self._clock(), count):
            raise TooManyCallsError(key.name, key.calls.seconds_until(count))

    async def _call(self, key: ApiKey, method: str, body: bytes) -> object:
        handler = self._handlers.methods.get(method)
        if handler is None:
            msgspec.json.decode(body, type=dict[str, msgspec.Raw])
            raise CommandError(codes.METHOD_NOT_FOUND)
        if not key.may_call(method):
            raise NotAllowedError(f"the key {key.name} is not for {method}")
        if key.channels:
            about = msgspec.json.decode(body, type=_About)
            if not key.may_use([*about.channels, *([about.channel] if about.channel else [])]):
                raise NotAllowedError(f"the key {key.name} is not for these channels")
        return await handler(body)


class _About(msgspec.Struct):
    """The channels that a call is about."""

    channel: str = ""
    channels: list[str] = []


class NotAllowedError(Exception):
    """The key of the caller is not for this call; the text says which and why."""


class TooManyCallsError(Exception):
    """The caller has called more often than its key may; `seconds`: when it may again."""

    def __init__(self, key: str, seconds: float) -> None:
        super().__init__(f"too many requests: the key {key} has used up its calls per second")
        self.seconds = max(1, math.ceil(seconds))


def _given(request: web.Request) -> str:
    """The key that a caller sends, in either header."""
    given = request.headers.get("X-API-Key", "")
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if not given and scheme.lower() == "apikey" else given


FAILURES = (msgspec.ValidationError, NotSupportedError, NotAllowedError, CommandError, BackplaneError)
"""What can go wrong with a call whose body is JSON."""


def _failure(method: str, error: Exception) -> dict[str, object]:
    """The error of a call, as its caller gets it."""
    match error:
        case msgspec.ValidationError():
            return _error(codes.BAD_REQUEST, str(error))
        case NotAllowedError():
            return _error(codes.PERMISSION_DENIED, str(error))
        case NotSupportedError():
            return _error(codes.NOT_AVAILABLE, str(error))
        case CommandError():
            return _error(error.error)
    logger.warning("api call failed", method=method, error=str(error))
    return _error(codes.INTERNAL)


async def _health(_request: web.Request) -> web.Response:
    return json_response({})


async def serve(server: ApiServer) -> web.AppRunner:
    """A runner that listens nowhere yet; `cleanup` ends it."""
    runner = web.AppRunner(server.application(), access_log=None, handle_signals=False, shutdown_timeout=2)
    await runner.setup()
    return runner
