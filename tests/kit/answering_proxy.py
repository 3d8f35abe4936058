"""A proxy between SDKs and a real server that answers one command of a client itself.

What it answers is encoded by the server's own codecs; everything else is the server's. So each SDK can be shown every
answer that there is, one for each connection address.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.typing import Subprotocol

from realtime_server.codes import DisconnectCode, ErrorCode, UnsubscribeCode
from realtime_server.core.model.commands import Command
from realtime_server.core.model.pushes import UnsubscribePush
from realtime_server.protocols.centrifuge import (
    client_pb2,
    json_codec,
    json_commands,
    protobuf_codec,
    protobuf_commands,
)
from realtime_server.protocols.centrifuge.varint import delimited, split_delimited

PROTOBUF = Subprotocol("centrifuge-protobuf")

CHANNEL = "chat:room"
"""The only channel that clients subscribe to."""

Place: TypeAlias = Literal["connection", "subscription", "connect", "subscribe", "refresh", "sub_refresh", "publish"]
"""The message that carries an answer: a close frame, an unsubscribe push, or the reply to a command."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer that one client gets, once."""

    place: Place
    code: ErrorCode | DisconnectCode | UnsubscribeCode


class AnsweringProxy:
    """A WebSocket proxy on 127.0.0.1 in front of `server` (a URL); client i connects to `url(i)` for `answers[i]`."""

    def __init__(self, server: str, answers: Sequence[Answer]) -> None:
        self._upstream = server
        self._answers = answers
        self._given: set[int] = set()
        self._open: dict[int, ServerConnection] = {}
        self._server: Server | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        """Listen on a free port of 127.0.0.1."""
        self._server = await serve(
            self._serve, "127.0.0.1", 0, select_subprotocol=_choose, process_request=_forget_empty_subprotocol
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the listener and all connections."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def url(self, number: int) -> str:
        """Return the URL for the client of an answer."""
        return f"ws://127.0.0.1:{self._port}/connection/websocket?answer={number}"

    async def close(self, number: int) -> None:
        """Close a client's connection with the code and reason of its answer."""
        code = self._answers[number].code
        assert isinstance(code, DisconnectCode)
        await self._open[number].close(code.code, code.reason)

    async def _serve(self, client: ServerConnection) -> None:
        assert client.request is not None
        number = int(parse_qs(urlsplit(client.request.path).query)["answer"][0])
        self._open[number] = client
        subprotocols = None if client.subprotocol is None else [client.subprotocol]
        async with connect(
            self._upstream, subprotocols=subprotocols, ping_interval=None, proxy=None, max_size=None
        ) as server:
            answers = asyncio.create_task(self._relay(number, server, client))
            with contextlib.suppress(ConnectionClosed):
                async for message in client:
                    if not await self._take(number, client, server, message):
                        break
            answers.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answers

    async def _take(
        self, number: int, client: ServerConnection, server: ClientConnection, message: str | bytes
    ) -> bool:
        """Forward a message, or answer the command in its place; return False when the client is refused."""
        binary = client.subprotocol == PROTOBUF
        for part in _split(message, binary=binary):
            command = _decode(part, binary=binary)
            if command is None or not self._is_answered(number, command):
                await server.send(delimited(part) if binary else part, text=not binary)
                continue
            code = self._answers[number].code
            assert isinstance(code, ErrorCode)
            if binary:
                await client.send(delimited(protobuf_codec.encode_error(command.id, code)))
            else:
                await client.send(json_codec.encode_error(command.id, code), text=True)
            if command.connect is not None:
                await client.wait_closed()
                return False
        return True

    async def _relay(self, number: int, server: ClientConnection, client: ServerConnection) -> None:
        """Forward the server's messages and its close frame; an unsubscribe push gets the code of the answer."""
        code = self._answers[number].code
        with contextlib.suppress(ConnectionClosed):
            async for message in server:
                if isinstance(code, UnsubscribeCode) and _ends_subscription(message):
                    push = UnsubscribePush(code.code, code.reason)
                    if isinstance(message, bytes):
                        await client.send(delimited(protobuf_codec.encode_push(CHANNEL, push)))
                    else:
                        await client.send(json_codec.encode_push(CHANNEL, push), text=True)
                else:
                    await client.send(message)
        if server.close_code is not None:
            await client.close(server.close_code, server.close_reason or "")

    def _is_answered(self, number: int, command: Command) -> bool:
        place = self._answers[number].place
        if number in self._given or place in {"connection", "subscription"} or getattr(command, place) is None:
            return False
        self._given.add(number)
        return True


def _forget_empty_subprotocol(_: ServerConnection, request: Request) -> None:
    """Drop the empty subprotocol list of centrifuge-python before 0.7, which the library refuses."""
    if request.headers.get("Sec-WebSocket-Protocol") == "":
        del request.headers["Sec-WebSocket-Protocol"]


def _choose(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return PROTOBUF if PROTOBUF in offered else None


def _ends_subscription(message: str | bytes) -> bool:
    """Return True when this message of the server ends a subscription."""
    if isinstance(message, str):
        return message.startswith('{"push"') and '"unsubscribe":' in message
    replies = [client_pb2.Reply.FromString(part) for part in split_delimited(message)]
    return any(reply.push.HasField("unsubscribe") for reply in replies)


def _split(message: str | bytes, *, binary: bool) -> list[bytes]:
    data = message.encode() if isinstance(message, str) else message
    return split_delimited(data) if binary else [line for line in data.split(b"\n") if line.strip()]


def _decode(part: bytes, *, binary: bool) -> Command | None:
    """Return the decoded command; None for the answer to a ping."""
    commands = protobuf_commands.decode_commands(delimited(part)) if binary else json_commands.decode_commands(part)
    return commands[0] if commands and commands[0].id else None
