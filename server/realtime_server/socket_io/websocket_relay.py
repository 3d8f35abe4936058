"""WebSocket at this worker that takes over a polling connection of another one, see `far_websockets`."""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets

import msgspec

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.auth.claims import Claims
from realtime_server.core.model.errors import AskError, BackplaneError, UnknownNodeError
from realtime_server.core.node import Node
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.ports.client import Codec, Connection
from realtime_server.core.sessions.session import Session, SessionContext
from realtime_server.core.tasks import has_failed
from realtime_server.socket_io.far_websockets import (
    NAME,
    EndRelay,
    Kind,
    OpenRelay,
    Receive,
    Request,
    Send,
    SentMessage,
    Written,
)

PAUSE_AT = 64
"""Number of messages at which reading from the client pauses until the other worker has taken them."""
SEND_SECONDS = 600.0
"""Time limit for the other worker to take messages, whose backend may be slow; should it die, that is known before."""
END_SECONDS = 5.0
_NOBODY = Claims("")
_FAILURES = (BackplaneError, AskError, UnknownNodeError, TimeoutError)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Written)


class Holder:
    """Worker that holds a connection, asked on behalf of one WebSocket. `seconds`: time within which it has something.

    Each method raises BackplaneError, UnknownNodeError, AskError, or TimeoutError.
    """

    def __init__(self, node: Node, sid: str, seconds: float) -> None:
        self._asks = node.asks
        self._worker, _, _ = sid.partition(".")
        self._sid = sid
        self._seconds = seconds
        self._relay = secrets.token_hex(16)

    async def open(self) -> Written:
        """Begin."""
        return await self._ask(OpenRelay(self._relay, self._sid), self._seconds)

    async def send(self, messages: list[SentMessage]) -> Written:
        """Pass on messages of the client; return when it may send more."""
        return await self._ask(Send(self._relay, messages), SEND_SECONDS)

    async def receive(self) -> Written:
        """Wait for something that is to be sent to the client, and return it."""
        return await self._ask(Receive(self._relay), self._seconds)

    async def end(self) -> None:
        """Tell that the WebSocket is lost."""
        await self._ask(EndRelay(self._relay), END_SECONDS)

    async def _ask(self, request: Request, seconds: float) -> Written:
        return _decoder.decode(await self._asks.ask(self._worker, NAME, _encoder.encode(request), timeout=seconds))


class WebSocketRelay(Session):
    """Session of such a WebSocket: it has no user and no channels, but is counted, and moved when this server drains.

    When the other worker does not answer, the WebSocket is closed, after which the client connects again.
    """

    __slots__ = ("_arrived", "_ending", "_holder", "_is_paused", "_queue", "_queued_bytes", "_task", "_writable")

    def __init__(
        self,
        context: SessionContext,
        connection: Connection,
        codec: Codec,
        client: str,
        transport: TransportInfo,
        holder: Holder,
    ) -> None:
        super().__init__(context, connection, codec, client, transport)
        self.admit(_NOBODY, math.inf)  # by the other worker
        self.welcome = True
        self._holder = holder
        self._queue: list[SentMessage] = []
        self._queued_bytes = 0
        self._is_paused = False
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"relay-{client}")
        self._task.add_done_callback(self._on_task_done)
        self._ending: asyncio.Task[None] | None = None

    @property
    def admitted(self) -> bool:
        """See Session: False, as the cost of admitting a client is measured at the other worker."""
        return False

    # what the client sends

    def on_text(self, payload: bytes, now: float) -> None:
        """See Session."""
        del now
        self._enqueue(SentMessage(Kind.TEXT, payload))

    def on_binary(self, payload: bytes, now: float) -> None:
        """See Session."""
        del now
        self._enqueue(SentMessage(Kind.BINARY, payload))

    def on_control(self, now: float) -> None:
        """See Session."""
        del now
        self._enqueue(SentMessage(Kind.CONTROL, b""))

    def _enqueue(self, message: SentMessage) -> None:
        if self.closed:
            return
        self._queue.append(message)
        self._queued_bytes += len(message.payload)
        self._arrived.set()
        is_full = len(self._queue) >= PAUSE_AT or self._queued_bytes > self._context.limits.frame_bytes
        if is_full and not self._is_paused:
            self._is_paused = True
            self.connection.pause_reading()

    # passing on

    async def _run(self) -> None:
        """Pass on everything until either side ends."""
        try:
            self._take(await self._holder.open())
            if self.closed:
                return
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send(), name=f"relay-send-{self.client}")
                group.create_task(self._receive(), name=f"relay-receive-{self.client}")
        except* _FAILURES:
            self.disconnect(codes.SERVER_ERROR)

    async def _say_end(self) -> None:
        with contextlib.suppress(*_FAILURES):
            await self._holder.end()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if has_failed(task):
            self.disconnect(codes.SERVER_ERROR)

    async def _send(self) -> None:
        while not self.closed:
            await self._arrived.wait()
            self._arrived.clear()
            messages, self._queue, self._queued_bytes = self._queue, [], 0
            self._take(await self._holder.send(messages))
            if self._is_paused and not self._queue:
                self._is_paused = False
                self.connection.resume_reading()

    async def _receive(self) -> None:
        while not self.closed:
            self._take(await self._holder.receive())
            while self.connection.congested:
                self._writable.clear()
                await self._writable.wait()

    def _take(self, written: Written) -> None:
        if written.frames:
            self.connection.write(written.frames)
        if written.code:
            self.disconnect(DisconnectCode(written.code, written.reason))

    def on_writable(self) -> None:
        """See Session."""
        self._writable.set()

    # the end

    def on_closed(self, code: DisconnectCode = codes.CONNECTION_CLOSED) -> None:
        """See Session; the backend is told of the sockets alone."""
        if not self.closed:
            self.claims = None
            super().on_closed(code)
            self._task.cancel()
            self._ending = asyncio.get_running_loop().create_task(self._say_end(), name=f"relay-end-{self.client}")
