"""The HTTP server API of Centrifugo: `POST /api/METHOD` for the user's backend."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

from realtime_server import codes
from realtime_server.admin.responses import BODY_BYTES, error_response, json_response, same_secret
from realtime_server.codes import DisconnectCode, ErrorCode
from realtime_server.core.ports import BackplaneError, CommandError, RealtimeApi
from realtime_server.core.publication import encode_client_info, with_offset
from realtime_server.core.values import HistoryPage, HistoryQuery, StreamPosition
from realtime_server.settings import SecretFile, Settings

logger = structlog.get_logger()

MAX_BROADCAST = 10_000
"""Channels in one broadcast."""


class Publish(msgspec.Struct):
    """Publish to a channel (`channel`) or to several (`channels`)."""

    channel: str = ""
    channels: list[str] = []
    data: msgspec.Raw = msgspec.Raw()
    b64data: str = ""
    skip_history: bool = False
    tags: dict[str, str] = {}


class Code(msgspec.Struct):
    """The code of a disconnect."""

    code: int
    reason: str = ""


class Target(msgspec.Struct):
    """Whom a call is about."""

    user: str = ""
    client: str = ""
    channel: str = ""
    disconnect: Code | None = None


class Position(msgspec.Struct):
    """A position of a stream."""

    offset: int = 0
    epoch: str = ""


class History(msgspec.Struct):
    """A part of a stream."""

    channel: str = ""
    limit: int = 0
    since: Position | None = None
    reverse: bool = False


class ApiHandlers:
    """One handler for each method; each returns the result's JSON object."""

    def __init__(self, api: RealtimeApi) -> None:
        self._api = api
        self.methods: dict[str, Callable[[bytes], Awaitable[object]]] = {
            "publish": self.publish,
            "broadcast": self.broadcast,
            "presence": self.presence,
            "presence_stats": self.presence_stats,
            "history": self.history,
            "history_remove": self.history_remove,
            "disconnect": self.disconnect,
            "unsubscribe": self.unsubscribe,
            "info": self.info,
        }

    async def publish(self, body: bytes) -> object:
        """Publish to one channel: offset and epoch where the channel has a history."""
        request = msgspec.json.decode(body, type=Publish)
        return await self._publish(_required(request.channel), request, _data_of(request))

    async def broadcast(self, body: bytes) -> object:
        """Publish the same to several channels: a result or an error for each."""
        request = msgspec.json.decode(body, type=Publish)
        if not request.channels or len(request.channels) > MAX_BROADCAST:
            raise CommandError(codes.BAD_REQUEST)
        data = _data_of(request)
        responses = []
        for channel in request.channels:
            try:
                responses.append({"result": await self._publish(_required(channel), request, data)})
            except CommandError as error:
                responses.append({"error": _error(error.error)})
        return {"responses": responses}

    async def _publish(self, channel: str, request: Publish, data: bytes) -> object:
        position = await self._api.publish(channel, data, skip_history=request.skip_history, tags=request.tags or None)
        return {} if position is None else {"offset": position.offset, "epoch": position.epoch}

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

    async def disconnect(self, body: bytes) -> object:
        """Close a user's connections."""
        request = msgspec.json.decode(body, type=Target)
        code = None
        if request.disconnect is not None:
            if not 3000 <= request.disconnect.code <= 4999:
                raise CommandError(codes.BAD_REQUEST)
            code = DisconnectCode(request.disconnect.code, request.disconnect.reason)
        await self._api.disconnect(_required(request.user), client=request.client, code=code)
        return {}

    async def unsubscribe(self, body: bytes) -> object:
        """End a user's subscriptions to a channel."""
        request = msgspec.json.decode(body, type=Target)
        await self._api.unsubscribe(_required(request.user), _required(request.channel), client=request.client)
        return {}

    async def info(self, _body: bytes) -> object:
        """All workers of the cluster."""
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


def _data_of(request: Publish) -> bytes:
    if request.b64data:
        try:
            data = base64.b64decode(request.b64data, validate=True)
            msgspec.json.decode(data)
        except (binascii.Error, msgspec.DecodeError) as error:
            raise CommandError(codes.BAD_REQUEST) from error
        return data
    if not bytes(request.data):
        raise CommandError(codes.BAD_REQUEST)
    return bytes(request.data)


def _history(page: HistoryPage) -> object:
    return {
        "publications": [msgspec.Raw(with_offset(publication)) for publication in page.publications],
        "epoch": page.position.epoch,
        "offset": page.position.offset,
    }


def _error(error: ErrorCode) -> dict[str, object]:
    return {"code": error.code, "message": error.message}


class ApiServer:
    """The site: checks the key, calls the method, translates errors. `requests` counts by method and HTTP status."""

    def __init__(self, api: RealtimeApi, key: SecretFile) -> None:
        self._handlers = ApiHandlers(api)
        self._key = key
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
        self.requests[method if method in self._handlers.methods else "unknown", response.status] += 1
        return response

    async def _answer(self, request: web.Request, method: str) -> web.Response:
        if not self._is_authorized(request):
            return error_response(401, "unauthorized: send the API key in the header X-API-Key")
        body = await request.read() or b"{}"
        handler = self._handlers.methods.get(method)
        if handler is None:
            return json_response({"error": _error(codes.METHOD_NOT_FOUND)})
        try:
            document = {"result": await handler(body)}
        except msgspec.ValidationError as error:
            return json_response({"error": {"code": codes.BAD_REQUEST.code, "message": f"bad request: {error}"}})
        except msgspec.DecodeError as error:
            return error_response(400, f"the body is not JSON: {error}")
        except CommandError as error:
            return json_response({"error": _error(error.error)})
        except BackplaneError as error:
            logger.warning("api call failed", method=method, error=str(error))
            return json_response({"error": _error(codes.INTERNAL)})
        return web.Response(body=msgspec.json.encode(document), content_type="application/json")

    def _is_authorized(self, request: web.Request) -> bool:
        given = request.headers.get("X-API-Key", "")
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "apikey":
            given = value.strip()
        return same_secret(given, self._key.read())


async def _health(_request: web.Request) -> web.Response:
    return json_response({})


async def serve(server: ApiServer, settings: Settings) -> web.AppRunner:
    """Listen on the API port, shared by the workers; `cleanup` of what is returned ends it."""
    runner = web.AppRunner(server.application(), access_log=None, handle_signals=False)
    await runner.setup()
    listen = settings.listen
    await web.TCPSite(runner, listen.host, listen.api_port, reuse_port=True, shutdown_timeout=2).start()
    return runner
