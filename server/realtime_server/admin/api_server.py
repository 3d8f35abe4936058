"""The HTTP server API of Centrifugo: `POST /api/METHOD` for the user's backend."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

from realtime_server import codes
from realtime_server.admin import api_messages, openapi
from realtime_server.admin.api_handlers import METHODS, ApiHandlers, error_of
from realtime_server.admin.api_keys import ApiKey, ApiKeys
from realtime_server.admin.api_metrics import ApiUsage
from realtime_server.admin.responses import error_response, json_response
from realtime_server.core.model.errors import BackplaneError, CommandError
from realtime_server.core.model.nesting import check_nesting
from realtime_server.core.model.surrogates import explain
from realtime_server.core.ports.api import RealtimeApi
from realtime_server.core.ports.tracing import NO_TRACING, Tracing
from realtime_server.socket_io.cluster_sockets import ClusterSockets

logger = structlog.get_logger()

BODY_BYTES = 8 * 1024 * 1024
"""Maximum size of a call's body."""
BATCH = "batch"
API_PATH = "/api"


class ApiServer:
    """HTTP site of the server API: checks the key, calls the method, and converts errors. `usage` counts calls.

    `data_bytes` is the maximum size of a publication. `sockets`: None while Socket.IO is off.
    """

    def __init__(
        self,
        api: RealtimeApi,
        keys: ApiKeys,
        *,
        sockets: ClusterSockets | None = None,
        data_bytes: int = BODY_BYTES,
        tracing: Tracing = NO_TRACING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handlers = ApiHandlers(api, data_bytes, sockets)
        self._keys = keys
        self._clock = clock
        self._tracing = tracing
        self.usage = ApiUsage((*METHODS, BATCH))

    def application(self) -> web.Application:
        """Build the aiohttp application."""
        application = web.Application(client_max_size=BODY_BYTES, middlewares=[_errors_in_json])
        application.router.add_post(f"{API_PATH}/{{method}}", self._serve)
        # Without a key: it says what every server of this release can do, and nothing of this one.
        application.router.add_get(openapi.PATH, document)
        application.router.add_get("/health", _health)
        return application

    async def _serve(self, request: web.Request) -> web.Response:
        return await self.call(request, request.match_info["method"])

    async def call(self, request: web.BaseRequest, method: str) -> web.Response:
        """Answer one call, whatever port it came to. The request takes BODY_BYTES."""
        began = self._clock()
        response = await self._answer(request, method)
        self.usage.count(method, response.status)
        self.usage.observe(method, self._clock() - began)
        return response

    async def _answer(self, request: web.BaseRequest, method: str) -> web.Response:
        key = self._keys.find(_given(request))
        if key is None:
            return error_response(401, "unauthorized: send the API key in the header X-API-Key")
        name = self.usage.name_of(method)
        with self._tracing.api_call(name, lambda header: request.headers.getall(header, ())) as exchange:
            response = await self._answer_to(key, request, method)
            exchange.answered(response.status)
        return response

    async def _answer_to(self, key: ApiKey, request: web.BaseRequest, method: str) -> web.Response:
        try:
            body = await request.read() or b"{}"
            body.decode()  # the JSON decoder does not look into the strings of raw data
            check_nesting(body)
            answer = await (self._batch(key, body) if method == BATCH else self._result(key, method, body))
        except NotAllowedError as error:
            return json_response({"error": self._failure(method, error)}, 403)
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
        except msgspec.DecodeError as error:
            broken = _syntax_error(body) if isinstance(error, msgspec.ValidationError) else explain(error, body)
            if broken:
                return error_response(400, f"the body is not JSON: {broken}")
            return json_response({"error": self._failure(method, error)})
        except FAILURES as error:
            return json_response({"error": self._failure(method, error)})
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def _result(self, key: ApiKey, method: str, body: bytes) -> dict[str, object]:
        self._count_calls(key, 1)
        return {"result": await self._call(key, method, body)}

    async def _batch(self, key: ApiKey, body: bytes) -> dict[str, object]:
        """Return a reply for each command, in order: the method's name with its result, or an error.

        Commands are executed one after the other, also after a failure; with `parallel` they run concurrently.
        """
        batch = msgspec.json.decode(body, type=api_messages.Batch)
        self._count_calls(key, len(batch.commands))
        if batch.parallel:
            return {"replies": await asyncio.gather(*(self._reply(key, command) for command in batch.commands))}
        return {"replies": [await self._reply(key, command) for command in batch.commands]}

    async def _reply(self, key: ApiKey, command: dict[str, msgspec.Raw]) -> dict[str, object]:
        try:
            ((method, body),) = command.items()
        except ValueError:
            return {"error": error_of(codes.BAD_REQUEST, "a command is an object with one field, the method's name")}
        try:
            reply: dict[str, object] = {method: await self._call(key, method, bytes(body))}
        except FAILURES as error:
            reply = {"error": self._failure(method, error)}
        self.usage.count(method, 200)
        return reply

    def _count_calls(self, key: ApiKey, count: int) -> None:
        """Count calls towards the key's rate. Raises TooManyCallsError above it."""
        if key.calls is not None and not key.calls.take(self._clock(), count):
            raise TooManyCallsError(key.name, key.calls.seconds_until(count))

    async def _call(self, key: ApiKey, method: str, body: bytes) -> msgspec.Struct:
        found = METHODS.get(method)
        if found is None:
            msgspec.json.decode(body, type=dict[str, msgspec.Raw])
            raise CommandError(codes.METHOD_NOT_FOUND)
        if not key.may_call(method):
            raise NotAllowedError(f"the key {key.name} is not for {method}")
        if key.channels:
            about = msgspec.json.decode(body, type=_About)
            if not key.may_use([*about.channels, *([about.channel] if about.channel else [])]):
                raise NotAllowedError(f"the key {key.name} is not for these channels")
        return await found.answer(self._handlers, body)

    def _failure(self, method: str, error: Exception) -> dict[str, object]:
        """Return the error of a call, as its caller gets it."""
        match error:
            case msgspec.ValidationError():
                found = error_of(codes.BAD_REQUEST, str(error))
            case NotAllowedError():
                found = error_of(codes.PERMISSION_DENIED, str(error))
            case CommandError():
                found = error_of(error.error, error.why)
            case _:
                logger.warning("api call failed", method=method, error=str(error))
                found = error_of(codes.INTERNAL)
        self.usage.fail(method, found.code)
        self._tracing.call_failed(found.code, found.message)
        return msgspec.structs.asdict(found)


class _About(msgspec.Struct):
    """Channels that a call is about."""

    channel: str = ""
    channels: list[str] = []


class NotAllowedError(Exception):
    """Refusal because the caller's key does not permit the call; the text says which and why."""


class TooManyCallsError(Exception):
    """Refusal of a call above the key's rate; `seconds` until the next call may succeed."""

    def __init__(self, key: str, seconds: float) -> None:
        super().__init__(f"too many requests: the key {key} has used up its calls per second")
        self.seconds = max(1, math.ceil(seconds))


def _given(request: web.BaseRequest) -> str:
    """Return the key that a caller sends, in either header."""
    given = request.headers.get("X-API-Key", "")
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if not given and scheme.lower() == "apikey" else given


def _syntax_error(body: bytes) -> str:
    """Return the syntax error of a body, if there is one: a field's error may be found before the rest was parsed."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        return explain(error, body)
    return ""


FAILURES = (msgspec.ValidationError, NotAllowedError, CommandError, BackplaneError)
"""Errors of a call whose body is JSON."""


@web.middleware
async def _errors_in_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Convert the answers that aiohttp gives by itself to JSON errors."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        response = error_response(405, f"the method is {error.method}, not one of {allowed}")
        response.headers["Allow"] = allowed
        return response
    except web.HTTPNotFound:
        return error_response(404, f"there is nothing here; {openapi.PATH} says what there is")


async def document(_request: web.BaseRequest) -> web.Response:
    """Answer with the OpenAPI document."""
    return web.Response(body=openapi.encoded(), content_type="application/json")


async def _health(_request: web.Request) -> web.Response:
    return json_response({})
