"""Collection of the acknowledgements of one emission by the sockets of a worker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

import msgspec

from realtime_server.protocols.socket_io.attachments import attachments_in_base64
from realtime_server.protocols.socket_io.packets import Packet


class Ack(msgspec.Struct, array_like=True, frozen=True):
    """Acknowledgement of a socket: the JSON array of its arguments, None when there was no room for it."""

    client: str
    data: bytes | None


class CollectedAcks(msgspec.Struct, array_like=True, frozen=True):
    """Acknowledgements in the order of their arrival; `unanswered`: the ids of the sockets that have given none."""

    acks: list[Ack]
    unanswered: list[str]


class AckRoom:
    """Room for the data of acknowledgements in bytes, shared by collections."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> bool:
        """Take room; return False when there is not as much."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def free(self, size: int) -> None:
        """Give room back."""
        self._left += size


class AckCollection:
    """Acknowledgements of these sockets, with data of at most `max_bytes`, which has to find room in `room` too."""

    def __init__(self, clients: Iterable[str], room: AckRoom, *, max_bytes: int) -> None:
        self._asked = tuple(clients)
        self._room = room
        self._left = max_bytes
        self._taken = 0
        self._acks: list[Ack] = []
        self._missing = set(self._asked)
        self._complete = asyncio.Event()
        self._check()

    def take(self, client: str, packet: Packet | None) -> None:
        """Take the acknowledgement of a socket; None for one whose size is not permitted."""
        self._acks.append(Ack(client, None if packet is None else self._data_of(packet)))
        self.give_up(client)

    def give_up(self, client: str) -> None:
        """Stop waiting for a socket: it has ended. Idempotent."""
        self._missing.discard(client)
        self._check()

    async def wait(self, seconds: float) -> CollectedAcks:
        """Return the acknowledgements when no more can come, or after so many seconds. Call it once."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._complete.wait()
        finally:
            self._room.free(self._taken)
        answered = {ack.client for ack in self._acks}
        return CollectedAcks(self._acks, [client for client in self._asked if client not in answered])

    def _data_of(self, packet: Packet) -> bytes | None:
        data = attachments_in_base64(packet.data, packet.attachments)
        if len(data) > self._left or not self._room.take(len(data)):
            return None
        self._left -= len(data)
        self._taken += len(data)
        return data

    def _check(self) -> None:
        if not self._missing:
            self._complete.set()
