"""Inbox of a worker for what backends write to Redis with emitters: it is decoded, and done at the sockets here."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TypeAlias

import structlog

from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.ports.feed import FeedSource
from realtime_server.protocols.socket_io.emitters.instruction import (
    Disconnect,
    Emit,
    Instruction,
    Join,
    Leave,
    Targets,
)
from realtime_server.protocols.socket_io.emitters.python_manager import decode_message
from realtime_server.protocols.socket_io.emitters.redis_emitter import decode_broadcast, decode_request
from realtime_server.protocols.socket_io.emitters.redis_streams import decode_entry
from realtime_server.protocols.socket_io.errors import EmitterError, Fault, SocketIoError
from realtime_server.socket_io.emissions import Emissions, emission_of
from realtime_server.socket_io.room_operations import RoomOperations
from realtime_server.socket_io.socket_index import SocketSelection

logger = structlog.get_logger()

MAX_WAITING = 10_000
"""Messages that wait while sockets join rooms or leave them; more are refused."""
MAX_WAITING_BYTES = 32 * 1024 * 1024
ENCODED = 2
"""Upper bound of the size of a message as a multiple of that of its event: base64 of binary data, JSON with spaces."""
WARNING_SECONDS = 60.0
"""Interval of the warnings about messages that are refused for one reason."""
OTHER = "other"
"""Kind of messages that are not for sockets: of servers of Socket.IO among themselves."""
QUEUE_FULL, BACKPLANE = "queue_full", "backplane"
"""Reasons of refusals, besides those of Fault."""

Decode: TypeAlias = Callable[[bytes], Instruction | None]


class EmitterFormat(StrEnum):
    """Format of messages, by which they are counted."""

    REDIS_EMITTER = "redis_emitter"
    REDIS_STREAMS = "redis_streams"
    PYTHON_SOCKETIO = "python_socketio"


@dataclass(frozen=True, slots=True)
class EmitterSettings:
    """What emitters of each format call their part of Redis; "": the format is off.

    `key`: prefix of the channels of @socket.io/redis-emitter. `stream`: stream of @socket.io/redis-streams-emitter.
    `channel`: channel of python-socketio.
    """

    key: str = ""
    stream: str = ""
    channel: str = ""


class EmitterInbox:
    """Receiver of a feed from emitters: implements FeedReceiver. Each message is done in its turn.

    An event is delivered at once, unless an earlier message of another kind waits for Redis.
    """

    def __init__(
        self,
        settings: EmitterSettings,
        namespaces: Collection[str],
        emissions: Emissions,
        rooms: RoomOperations,
        clock: Callable[[], float],
    ) -> None:
        self.received: Counter[tuple[EmitterFormat, str]] = Counter()
        """Messages by format and kind."""
        self.refused: Counter[tuple[EmitterFormat, str]] = Counter()
        """Messages that were not done, by format and reason."""
        self._namespaces = frozenset(namespaces)
        self._emissions = emissions
        self._rooms = rooms
        self._clock = clock
        self._max_bytes = ENCODED * emissions.max_bytes
        self._decoders = dict(self._decoders_of(settings))
        patterns = tuple(name for name in self._decoders if name.endswith("*"))
        channels = tuple(name for name in self._decoders if not name.endswith("*"))
        self.source = FeedSource(channels, patterns, settings.stream)
        """What it reads."""
        self._waiting: deque[tuple[EmitterFormat, Instruction, int]] = deque()
        self._waiting_bytes = 0
        self._working: asyncio.Task[None] | None = None
        self._next_warning: dict[tuple[EmitterFormat, str], float] = {}

    def _decoders_of(self, settings: EmitterSettings) -> Mapping[str, tuple[EmitterFormat, Decode]]:
        """Return how messages are decoded, by the channel or pattern."""
        most = self._max_bytes
        found: dict[str, tuple[EmitterFormat, Decode]] = {}
        if settings.key:
            for each in sorted(self._namespaces):
                decode: Decode = partial(decode_broadcast, namespace=each, max_bytes=most)
                found[f"{settings.key}#{each}#*"] = EmitterFormat.REDIS_EMITTER, decode
                decode = partial(decode_request, namespace=each, max_bytes=most)
                found[f"{settings.key}-request#{each}#"] = EmitterFormat.REDIS_EMITTER, decode
        if settings.channel:
            found[settings.channel] = EmitterFormat.PYTHON_SOCKETIO, partial(decode_message, max_bytes=most)
        return found

    async def stop(self) -> None:
        """End what is being done; the rest is dropped. Idempotent."""
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
            self._working = None

    # what arrives

    def on_message(self, name: str, payload: bytes) -> None:
        """See FeedReceiver."""
        kind, decode = self._decoders[name]
        instruction = self._decoded(kind, lambda: decode(payload))
        if instruction is None:
            return
        if self._working is None and self._do_at_once(kind, instruction):
            return
        if len(self._waiting) >= MAX_WAITING or self._waiting_bytes + len(payload) > MAX_WAITING_BYTES:
            self._refuse(kind, QUEUE_FULL, "too many messages wait for rooms that are joined or left")
            return
        self._waiting.append((kind, instruction, len(payload)))
        self._waiting_bytes += len(payload)
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name="emitter-inbox")

    async def on_entry(self, fields: Mapping[bytes, bytes]) -> None:
        """See FeedReceiver."""
        kind = EmitterFormat.REDIS_STREAMS
        instruction = self._decoded(kind, lambda: decode_entry(fields, self._max_bytes))
        if instruction is not None and not self._do_at_once(kind, instruction):
            await self._do(kind, instruction)

    def _decoded(self, kind: EmitterFormat, decode: Callable[[], Instruction | None]) -> Instruction | None:
        """Return what a message says; None, counted, where that is nothing for the sockets here."""
        try:
            instruction = decode()
            if instruction is not None and instruction.targets.namespace not in self._namespaces:
                raise EmitterError(Fault.UNKNOWN_NAMESPACE, "a message is for one of protocols.socket_io.namespaces")
        except SocketIoError as error:
            self._refuse(kind, error.fault, error.why)
            return None
        self.received[kind, OTHER if instruction is None else type(instruction).__name__.lower()] += 1
        return instruction

    # what is done

    async def _work(self) -> None:
        while self._waiting:
            kind, instruction, size = self._waiting.popleft()
            self._waiting_bytes -= size
            if not self._do_at_once(kind, instruction):
                await self._do(kind, instruction)
            else:
                await asyncio.sleep(0)
        self._working = None

    def _do_at_once(self, kind: EmitterFormat, instruction: Instruction) -> bool:
        """Do what needs no waiting; return False for the rest."""
        targets = _selection_of(instruction.targets)
        if isinstance(instruction, Emit):
            self._emit(kind, targets, instruction)
        elif isinstance(instruction, Disconnect):
            self._rooms.disconnect(targets, whole=instruction.whole)
        else:
            return False
        return True

    def _emit(self, kind: EmitterFormat, targets: SocketSelection, instruction: Emit) -> None:
        try:
            emission = emission_of(targets, instruction.event, volatile=instruction.volatile)
        except SocketIoError as error:
            self._refuse(kind, error.fault, error.why)
            return
        if emission.size > self._emissions.max_bytes:
            self._refuse(kind, Fault.TOO_LARGE, f"an event has at most {self._emissions.max_bytes} bytes")
            return
        self._emissions.deliver(emission)

    async def _do(self, kind: EmitterFormat, instruction: Instruction) -> None:
        targets = _selection_of(instruction.targets)
        try:
            if isinstance(instruction, Join):
                await self._rooms.join(targets, instruction.rooms)
            elif isinstance(instruction, Leave):
                await self._rooms.leave(targets, instruction.rooms)
        except BackplaneError as error:
            self._refuse(kind, BACKPLANE, str(error))

    def _refuse(self, kind: EmitterFormat, reason: str, why: str) -> None:
        """Count a message that is not done, and say so now and then."""
        self.refused[kind, reason] += 1
        now = self._clock()
        if now >= self._next_warning.get((kind, reason), now):
            self._next_warning[kind, reason] = now + WARNING_SECONDS
            logger.warning(
                "a message of an emitter is refused", format=str(kind), reason=str(reason), why=why,
                refused=self.refused[kind, reason],
            )  # fmt: skip


def _selection_of(targets: Targets) -> SocketSelection:
    return SocketSelection(targets.namespace, targets.rooms, targets.excluded)
