"""Stock SDKs in programs of their own, which speak JSON lines: the protocol is described in `sdk/clients.mjs`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.child_program import end_program
from tests.kit.clients import (
    CallRefusedError,
    Channel,
    ClientOptions,
    Connected,
    Connecting,
    Disconnected,
    ErrorReported,
    Event,
    Joined,
    Left,
    Publication,
    Record,
    Subscribed,
    Subscribing,
    Unsubscribed,
)
from tests.kit.document import number_at, object_at, parse, text_at, whole_at

PROGRAM = Path(__file__).parent / "sdk" / "clients.mjs"
CALL_SECONDS = 10
LINE_BYTES = 4 * 1024 * 1024


def event_from_line(line: JsonObject) -> Event | None:
    """Parse a line of the program; None when it is no event."""
    client, at, channel = whole_at(line, "client"), number_at(line, "at"), text_at(line, "channel")
    code, reason = whole_at(line, "code"), text_at(line, "reason")
    match line["event"]:
        case "publication":
            return Publication(client, at, channel, _offset(line), line["data"])
        case "connecting":
            return Connecting(client, at, code, reason)
        case "connected":
            return Connected(client, at, text_at(line, "id"))
        case "disconnected":
            return Disconnected(client, at, code, reason)
        case "subscribing":
            return Subscribing(client, at, channel, code, reason)
        case "subscribed":
            return _subscribed(line, client, at, channel)
        case "unsubscribed":
            return Unsubscribed(client, at, channel, code, reason)
        case "join":
            return Joined(client, at, channel, text_at(object_at(line, "info"), "user"), _client_in(line))
        case "leave":
            return Left(client, at, channel, text_at(object_at(line, "info"), "user"), _client_in(line))
        case "error":
            return ErrorReported(client, at, code, text_at(line, "message"))
        case _:
            return None


def _client_in(line: JsonObject) -> str:
    return text_at(object_at(line, "info"), "client")


def _subscribed(line: JsonObject, client: int, at: float, channel: str) -> Subscribed:
    return Subscribed(
        client=client,
        at=at,
        channel=channel,
        was_recovering=bool(line["wasRecovering"]),
        recovered=bool(line["recovered"]),
        offset=_offset(line),
        epoch=text_at(line, "epoch") or None,
    )


def _offset(line: JsonObject) -> int | None:
    return None if line["offset"] is None else whole_at(line, "offset")


def _channel(channel: Channel) -> JsonObject:
    return {
        "name": channel.name,
        "recoverable": channel.recoverable,
        "joinLeave": channel.join_leave,
        "delta": "fossil" if channel.delta else None,
    }


class ProgramClients:
    """A group of clients in one process. `command` starts the program; `program_options` are specific to it."""

    def __init__(self, options: ClientOptions, command: Sequence[str], **program_options: JsonValue) -> None:
        self.options = options
        self._command = command
        self._more = program_options
        self.record = Record()
        self._calls: dict[int, asyncio.Future[JsonObject]] = {}
        self._numbers = itertools.count(1)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the program; the clients start to connect."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            json.dumps(self._program_options()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
        )
        self._reader = asyncio.create_task(self._read(), name="stock clients")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ask the program to end; kill it when it does not."""
        assert self._process is not None
        await end_program(self._process)
        assert self._reader is not None
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    async def call(self, client: int, method: str, /, **params: JsonValue) -> JsonObject:
        """Make a client call a method of its SDK; raises CallRefusedError when the server answers with an error."""
        number = next(self._numbers)
        future: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        self._calls[number] = future
        self._send({"call": number, "client": client, "method": method, "params": params})
        async with asyncio.timeout(CALL_SECONDS):
            return await future

    def _program_options(self) -> JsonObject:
        options = self.options
        program: JsonObject = {
            "endpoints": list(options.endpoints),
            "clients": options.count,
            "channels": [_channel(channel) for channel in options.channels],
            "protobuf": options.protobuf,
            "transport": options.transport,
            "spread": options.spread,
            "tokens": list(options.tokens),
            "askTokens": options.renew_token is not None,
            "connectsPerSecond": options.connects_per_second,
            **self._more,
        }
        if options.min_reconnect_delay is not None:
            program["minReconnectDelay"] = options.min_reconnect_delay * 1000
        if options.max_reconnect_delay is not None:
            program["maxReconnectDelay"] = options.max_reconnect_delay * 1000
        return program

    def _send(self, line: JsonObject) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for text in self._process.stdout:
            if text.endswith(b"\n"):  # the program may end within a line
                self._take(parse(text))

    def _take(self, line: JsonObject) -> None:
        if line["event"] == "reply":
            self._answer(line)
        elif line["event"] in {"token", "subscription_token"}:
            self._give_token(whole_at(line, "client"), text_at(line, "channel"))
        else:
            event = event_from_line(line)
            assert event is not None, line
            self.record.add(event)

    def _give_token(self, client: int, channel: str) -> None:
        """Answer the SDK's request to the application; `channel` is "" for a connection token."""
        if channel:
            assert self.options.renew_subscription_token is not None
            method, token = "subscription_token", self.options.renew_subscription_token(client, channel)
        else:
            assert self.options.renew_token is not None
            method, token = "token", self.options.renew_token(client)
        params: JsonObject = {"token": token, "channel": channel}
        self._send({"call": next(self._numbers), "client": client, "method": method, "params": params})

    def _answer(self, line: JsonObject) -> None:
        future = self._calls.pop(whole_at(line, "call"), None)
        if future is None or future.done():
            return
        error = line.get("error")
        if isinstance(error, dict):
            future.set_exception(CallRefusedError(whole_at(error, "code"), text_at(error, "message")))
        else:
            future.set_result(object_at(line, "result"))


class JavaScriptClients(ProgramClients):
    """Clients of the JavaScript SDK; `package` is the name under which a version of it is installed."""

    def __init__(self, options: ClientOptions, package: str = "centrifuge") -> None:
        node = shutil.which("node")
        if node is None or not (PROGRAM.parent / "node_modules" / package).is_dir():
            raise RuntimeError(f"the stock JavaScript SDK ({package}) is not installed: run `make setup`")
        super().__init__(options, (node, str(PROGRAM)), package=package)
