"""Stock clients of Socket.IO with the same record: in programs, and python-socketio in this process.

They acknowledge the events that ask for it with their arguments, npm's client all but `silent`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self, TypeAlias

import aiohttp
import socketio

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.child_program import end_program
from tests.kit.deadline import eventually
from tests.kit.document import text_at

PROGRAM = Path(__file__).parent / "sdk" / "socket_io.mjs"
CALL_SECONDS = 10


@dataclass(frozen=True)
class SocketOptions:
    """Socket of a client: its namespace, and the data of its CONNECT."""

    namespace: str = "/"
    auth: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """Refused CONNECT: the message, and the code in its data."""

    message: str
    code: JsonValue


@dataclass
class SocketRecord:
    """What happened to one socket."""

    ids: list[str] = field(default_factory=list)
    """Ids, one for each connect."""
    recovered: list[bool] = field(default_factory=list)
    """Whether it had recovered, for each connect; python-socketio never does."""
    ends: list[str] = field(default_factory=list)
    """Reasons of its disconnects."""
    refused: list[Refused] = field(default_factory=list)
    events: list[tuple[str, list[object]]] = field(default_factory=list)

    async def connected(self, times: int = 1, *, within: float = 15) -> None:
        """Wait until it has connected so many times."""
        await self._until(lambda: len(self.ids) >= times, f"{times} connects", within)

    async def got(self, *events: tuple[str, list[object]], within: float = 15) -> None:
        """Wait until it has got as many events, which must be these; forget them."""
        await self._until(lambda: len(self.events) >= len(events), f"{len(events)} events", within)
        found, self.events = self.events, []
        assert found == [*events]

    async def was_refused(self, *, within: float = 15) -> Refused:
        """Wait until a CONNECT was refused, and return how."""
        await self._until(lambda: bool(self.refused), "a refusal", within)
        return self.refused[-1]

    async def ended(self, times: int = 1, *, within: float = 15) -> None:
        """Wait until it has disconnected so many times."""
        await self._until(lambda: len(self.ends) >= times, f"{times} disconnects", within)

    async def _until(self, holds: Callable[[], bool], what: str, within: float) -> None:
        async def read() -> bool:
            return holds()

        await eventually(read, bool, what=what, within=within, every=0.01, show=lambda _: repr(self))


class SocketIoClient(Protocol):
    """Client with one connection, while its context is entered."""

    @property
    def records(self) -> Sequence[SocketRecord]:
        """What happened to each of its sockets."""

    async def emit(self, event: str, *args: object, socket: int = 0) -> list[object]:
        """Send an event, and return the arguments of its acknowledgement."""

    async def send(self, event: str, *args: object, socket: int = 0) -> None:
        """Send an event that asks for no acknowledgement."""

    async def transport(self) -> str:
        """Return the name of the current transport."""

    async def disconnect(self, socket: int = 0) -> None:
        """End a socket."""

    async def __aenter__(self) -> Self:
        """Begin to connect."""

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""


SocketIoSdk: TypeAlias = Callable[[str, Sequence[str], Sequence[SocketOptions]], SocketIoClient]
"""Maker of a client, from the URL of the server, its transports, and its sockets."""


class ProgramSocketIo:
    """Stock client in a program that `command` starts; `options` are those of its sockets besides."""

    def __init__(
        self,
        command: Sequence[str],
        url: str,
        transports: Sequence[str],
        sockets: Sequence[SocketOptions],
        **options: JsonValue,
    ) -> None:
        self._command = command
        self.records = [SocketRecord() for _ in sockets]
        described: list[JsonValue] = [{"namespace": each.namespace, "auth": dict(each.auth)} for each in sockets]
        self._options: JsonObject = {"url": url, "transports": list(transports), "sockets": described, "more": options}
        self._calls: dict[int, asyncio.Future[JsonObject]] = {}
        self._numbers = itertools.count(1)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the program."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command, json.dumps(self._options), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        self._reader = asyncio.create_task(self._read(self._process), name="socket.io client")
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the program."""
        assert self._process is not None
        await end_program(self._process)
        if self._reader is not None:
            await self._reader

    async def emit(self, event: str, *args: object, socket: int = 0) -> list[object]:
        """See SocketIoClient."""
        answer = await self._call("emit", socket, event=event, args=[_encoded(each) for each in args])
        assert isinstance(answer, list)
        return [_decoded(each) for each in answer]

    async def send(self, event: str, *args: object, socket: int = 0) -> None:
        """See SocketIoClient."""
        await self._call("send", socket, event=event, args=[_encoded(each) for each in args])

    async def transport(self) -> str:
        """See SocketIoClient."""
        return str(await self._call("transport", 0))

    async def disconnect(self, socket: int = 0) -> None:
        """See SocketIoClient."""
        await self._call("disconnect", socket)

    async def _call(self, what: str, socket: int, **fields: JsonValue) -> JsonValue:
        assert self._process is not None
        assert self._process.stdin is not None
        number = next(self._numbers)
        answered = self._calls[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": number, "do": what, "socket": socket, **fields})
        self._process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(CALL_SECONDS):
            answer = await answered
        assert "error" not in answer, answer
        result: JsonValue = answer["result"]
        return result

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            found: JsonObject = json.loads(line)
            if "id" in found and "event" not in found:
                self._calls.pop(int(str(found["id"]))).set_result(found)
            else:
                self._note(self.records[int(str(found["socket"]))], found)

    def _note(self, record: SocketRecord, found: JsonObject) -> None:
        match found["event"]:
            case "connect":
                record.ids.append(text_at(found, "id"))
                record.recovered.append(found["recovered"] is True)
            case "disconnect":
                record.ends.append(text_at(found, "reason"))
            case "connect_error":
                data = found["data"]
                record.refused.append(
                    Refused(text_at(found, "message"), data["code"] if isinstance(data, dict) else None)
                )
            case _:
                args = found["args"]
                assert isinstance(args, list)
                record.events.append((text_at(found, "name"), [_decoded(each) for each in args]))


class JavaScriptSocketIo(ProgramSocketIo):
    """npm's socket.io-client; `options` are those of its sockets besides."""

    def __init__(
        self, url: str, transports: Sequence[str], sockets: Sequence[SocketOptions], **options: JsonValue
    ) -> None:
        node = shutil.which("node")
        assert node is not None
        super().__init__((node, str(PROGRAM)), url, transports, sockets, **options)

    async def cut(self) -> None:
        """Close the transport, after which all sockets come back."""
        await self._call("cut", 0)

    async def claim(self, pid: str, offset: str, socket: int = 0) -> None:
        """Have a socket ask for the state of another one when it connects next."""
        await self._call("claim", socket, pid=pid, offset=offset)

    async def claimed(self, socket: int = 0) -> tuple[str, str]:
        """Return the private id and the offset with which a socket will ask for its state."""
        found = await self._call("claimed", socket)
        assert isinstance(found, list)
        pid, offset = found
        return str(pid), str(offset)


class PythonSocketIo:
    """python-socketio."""

    def __init__(self, url: str, transports: Sequence[str], sockets: Sequence[SocketOptions]) -> None:
        self.records = [SocketRecord() for _ in sockets]
        self._url = url
        self._transports = list(transports)
        self._sockets = sockets
        self._session: aiohttp.ClientSession | None = None
        self._client = socketio.AsyncClient()
        self._connecting: asyncio.Task[None] | None = None

    def _listen(self, namespace: str, record: SocketRecord) -> None:
        async def on_connect() -> None:
            record.ids.append(self._client.get_sid(namespace))
            record.recovered.append(False)

        async def on_disconnect(reason: str) -> None:
            record.ends.append(reason)

        async def on_error(data: JsonValue = None) -> None:
            if isinstance(data, dict):
                details = data.get("data")
                code = details["code"] if isinstance(details, dict) else None
                record.refused.append(Refused(text_at(data, "message"), code))
            else:
                record.refused.append(Refused(str(data), None))

        async def on_event(name: str, *args: object) -> tuple[object, ...]:
            record.events.append((name, [*args]))
            return args

        for name, handler in (
            ("connect", on_connect), ("disconnect", on_disconnect), ("connect_error", on_error), ("*", on_event),
        ):  # fmt: skip
            self._client.on(name, handler, namespace=namespace)

    async def __aenter__(self) -> Self:
        """Begin to connect."""
        self._session = aiohttp.ClientSession()  # its own ones it does not always close
        self._client = socketio.AsyncClient(
            reconnection_delay=0.05, reconnection_delay_max=0.2, handle_sigint=False, http_session=self._session
        )
        for options, record in zip(self._sockets, self.records, strict=True):
            self._listen(options.namespace, record)
        self._connecting = asyncio.create_task(self._connect(), name="python-socketio")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        await self._client.shutdown()
        assert self._session is not None
        await self._session.close()

    async def _connect(self) -> None:
        auth = {each.namespace: dict(each.auth) for each in self._sockets}
        [one, *others] = auth.values()
        assert all(other == one for other in others), "the client has one `auth` for all its sockets"
        with contextlib.suppress(socketio.exceptions.ConnectionError):  # the handler has recorded it
            await self._client.connect(
                self._url, auth=one, transports=self._transports, namespaces=[*auth], wait_timeout=10
            )

    async def emit(self, event: str, *args: object, socket: int = 0) -> list[object]:
        """See SocketIoClient."""
        answered: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()

        def on_ack(*answer: object) -> None:
            answered.set_result([*answer])

        await self._client.emit(event, args, namespace=self._sockets[socket].namespace, callback=on_ack)
        async with asyncio.timeout(CALL_SECONDS):
            return await answered

    async def send(self, event: str, *args: object, socket: int = 0) -> None:
        """See SocketIoClient."""
        await self._client.emit(event, args, namespace=self._sockets[socket].namespace)

    async def transport(self) -> str:
        """See SocketIoClient."""
        return str(self._client.transport())

    async def disconnect(self, socket: int = 0) -> None:
        """See SocketIoClient."""
        del socket
        await self._client.disconnect()


def _encoded(value: object) -> JsonValue:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_encoded(each) for each in value]
    if isinstance(value, dict):
        return {key: _encoded(each) for key, each in value.items()}
    assert value is None or isinstance(value, (str, int, float))
    return value


def _decoded(value: JsonValue) -> object:
    if isinstance(value, dict) and value.keys() == {"base64"}:
        return base64.b64decode(str(value["base64"]))
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    if isinstance(value, dict):
        return {key: _decoded(each) for key, each in value.items()}
    return value
