"""Requests of polling clients that have reached another worker than the one that has their connection."""

from __future__ import annotations

import asyncio

import msgspec

from realtime_server.core.model.errors import UnknownNameError, UnknownNodeError
from realtime_server.core.node import Node
from realtime_server.protocols.socket_io.engine_requests import Answer
from realtime_server.socket_io.engine_connection import EngineConnection


class ForwardedRequest(msgspec.Struct, array_like=True, frozen=True):
    """Request as it is passed on: a poll when `body` is None, else data of the client."""

    body: bytes | None = None
    content_type: str = ""


class _ForwardedAnswer(msgspec.Struct, array_like=True, frozen=True):
    status: int
    body: bytes
    content_type: str


_encoder = msgspec.msgpack.Encoder()
_request_decoder = msgspec.msgpack.Decoder(ForwardedRequest)
_answer_decoder = msgspec.msgpack.Decoder(_ForwardedAnswer)


def is_elsewhere(node: Node, sid: str) -> bool:
    """Return True when an id names another worker, which may have the connection."""
    worker, _, secret = sid.partition(".")
    return bool(secret) and worker != node.uid


async def forward(node: Node, sid: str, request: ForwardedRequest, *, timeout: float) -> Answer | None:  # noqa: ASYNC109 - the other worker needs it
    """Have the worker that an id names answer a request; None when there is no such connection.

    Raises BackplaneError, TooManyAsksError, AskFailedError or TimeoutError.
    """
    worker, _, _ = sid.partition(".")
    try:
        answer = _answer_decoder.decode(await node.asks.ask(worker, sid, _encoder.encode(request), timeout=timeout))
    except (UnknownNodeError, UnknownNameError):
        return None
    return Answer(answer.status, answer.body, answer.content_type)


async def answer_forwarded(connection: EngineConnection, message: bytes) -> bytes:
    """Answer a request that another worker has passed on. A poll that is cancelled has lost the connection."""
    request = _request_decoder.decode(message)
    answer = await (_poll(connection) if request.body is None else _take(connection, request, request.body))
    return _encoder.encode(_ForwardedAnswer(*answer))


async def _poll(connection: EngineConnection) -> Answer:
    try:
        return await connection.poll_once()
    except asyncio.CancelledError:
        connection.lose()
        raise


async def _take(connection: EngineConnection, request: ForwardedRequest, body: bytes) -> Answer:
    answer = connection.begin_data(request.content_type) or connection.take_data(body)
    await connection.readable()
    return answer
