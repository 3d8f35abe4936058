"""Sockets of all workers of the cluster, for the server API."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import msgspec

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.control.messages import Notice
from realtime_server.core.model.errors import AskError, BackplaneError, CommandError, UnknownNameError, UnknownNodeError
from realtime_server.core.node import Node
from realtime_server.socket_io import socket_requests as requests
from realtime_server.socket_io.ack_collection import Ack, CollectedAcks
from realtime_server.socket_io.emissions import Emission
from realtime_server.socket_io.room_operations import Joined
from realtime_server.socket_io.socket_index import SocketEntry, SocketPage, SocketSelection
from realtime_server.socket_io.socket_namespace import SocketNamespace

ANSWER_SECONDS = 5.0
"""Time limit for all workers to answer."""
COLLECT_SECONDS = 2.0
"""Time limit for the acknowledgements to arrive from other workers, besides the time that clients have."""
COLLECTED_BYTES = 8 << 20
"""Size of the data of all acknowledgements of an emission."""
PAGE_BYTES = 4 << 20
"""Size of a page of sockets."""

Stored = TypeVar("Stored")
Failure: TypeAlias = AskError | BackplaneError | UnknownNodeError | TimeoutError
_acks_decoder: msgspec.msgpack.Decoder[CollectedAcks | None] = msgspec.msgpack.Decoder(CollectedAcks | None)
_joined_decoder: msgspec.msgpack.Decoder[Joined | None] = msgspec.msgpack.Decoder(Joined | None)
_count_decoder: msgspec.msgpack.Decoder[int | None] = msgspec.msgpack.Decoder(int | None)
_page_decoder = msgspec.msgpack.Decoder(SocketPage)


@dataclass(frozen=True, slots=True)
class ClusterAcks:
    """Acknowledgements of all workers; `complete`: every worker has answered."""

    acks: list[Ack]
    unanswered: list[str]
    complete: bool


class ClusterSockets:
    """Operations on the sockets of all workers. Each raises CommandError or BackplaneError.

    CommandError BAD_REQUEST for a namespace that is none of `namespaces`.
    """

    def __init__(self, node: Node, namespaces: Mapping[str, SocketNamespace]) -> None:
        self._node = node
        self._namespaces = namespaces

    def require(self, name: str) -> SocketNamespace:
        """Return a namespace. Raises CommandError BAD_REQUEST."""
        namespace = self._namespaces.get(name)
        if namespace is None:
            served = ", ".join(sorted(self._namespaces))
            raise CommandError(codes.BAD_REQUEST, f"namespace: is not one of those that are served: {served}")
        return namespace

    async def emit(self, emission: Emission) -> None:
        """Have all workers send an emission; return when they have been told."""
        self.require(emission.sockets.namespace)
        await self._tell(requests.Emit(emission))

    async def collect(self, emission: Emission, seconds: float) -> ClusterAcks:
        """Have all workers send an emission; return the acknowledgements that come within so many seconds.

        Raises CommandError LIMIT_EXCEEDED when a worker has too many sockets to ask: they have not got it.
        """
        self.require(emission.sockets.namespace)
        workers = [worker.uid for worker in self._node.workers()]
        size = min(self._node.asks.answer_bytes // 2, COLLECTED_BYTES // len(workers))
        answers = await self._ask(workers, requests.Collect(emission, seconds, size), seconds + COLLECT_SECONDS)
        acks: dict[str, Ack] = {}
        unanswered: dict[str, None] = {}
        complete = True
        for answer in answers:
            if not isinstance(answer, bytes):
                complete = complete and isinstance(answer, UnknownNameError)
                continue
            collected = _acks_decoder.decode(answer)
            if collected is None:
                why = "a server has too many sockets to ask; name rooms, or go without acknowledgements"
                raise CommandError(codes.LIMIT_EXCEEDED, why)
            acks.update((ack.client, ack) for ack in collected.acks)
            unanswered.update(dict.fromkeys(collected.unanswered))
        return ClusterAcks([*acks.values()], [client for client in unanswered if client not in acks], complete)

    async def join(self, selection: SocketSelection, rooms: Collection[str]) -> int:
        """Have sockets join rooms; return their number when they are in, and would recover with them.

        Raises CommandError UNKNOWN_CHANNEL, and LIMIT_EXCEEDED when one is in as many rooms as it may be, after the
        others have joined; BackplaneError when it may not be done for all of them.
        """
        namespace = self.require(selection.namespace)
        for room in rooms:
            self._node.hub.require(namespace.channel_of(room))
        answers = await self._answers(requests.Join(selection, [*rooms]))
        joined = _stored([_joined_decoder.decode(answer) for answer in answers])
        full = sum(each.full for each in joined)
        if full:
            why = f"sockets that are in as many rooms as they may be: {full}; all others have joined"
            raise CommandError(codes.LIMIT_EXCEEDED, why)
        return sum(each.sockets for each in joined)

    async def leave(self, selection: SocketSelection, rooms: Collection[str]) -> int:
        """Have sockets leave rooms; return their number when they would not recover with them, see `join`."""
        namespace = self.require(selection.namespace)
        for room in rooms:
            self._node.hub.require(namespace.channel_of(room))
        answers = await self._answers(requests.Leave(selection, [*rooms]))
        return sum(_stored([_count_decoder.decode(answer) for answer in answers]))

    async def disconnect(self, selection: SocketSelection, code: DisconnectCode, *, whole: bool) -> None:
        """Have all workers disconnect sockets, see RoomOperations; return when they have been told."""
        self.require(selection.namespace)
        await self._tell(requests.Disconnect(selection, code.code, code.reason, whole))

    async def page(self, selection: SocketSelection, *, after: str, limit: int) -> SocketPage:
        """Return the selected sockets with ids after `after`, at most `limit`. Raises BackplaneError."""
        self.require(selection.namespace)
        size = self._node.asks.answer_bytes // 2
        request = requests.ListSockets(selection, after, limit, size)
        pages = [_page_decoder.decode(answer) for answer in await self._answers(request)]
        return merged(pages, limit)

    async def _tell(self, notice: requests.SocketNotice) -> None:
        await self._node.tell(Notice(requests.NAME, requests.encode(notice)))

    async def _answers(self, request: requests.SocketRequest) -> list[bytes]:
        """Return the answers of all workers with the protocol. Raises BackplaneError when one does not answer."""
        workers = [worker.uid for worker in self._node.workers()]
        answers = await self._ask(workers, request, ANSWER_SECONDS)
        for answer in answers:
            if not isinstance(answer, (bytes, UnknownNameError)):
                raise BackplaneError(f"a worker did not answer: {answer!r}") from answer
        return [answer for answer in answers if isinstance(answer, bytes)]

    async def _ask(
        self, workers: Collection[str], request: requests.SocketRequest, seconds: float
    ) -> list[bytes | Failure]:
        """Return what each worker has answered, or why it has not."""
        message = requests.encode(request)
        return await asyncio.gather(*(self._ask_one(worker, message, seconds) for worker in workers))

    async def _ask_one(self, worker: str, message: bytes, seconds: float) -> bytes | Failure:
        try:
            return await self._node.asks.ask(worker, requests.NAME, message, timeout=seconds)
        except (AskError, BackplaneError, UnknownNodeError, TimeoutError) as error:
            return error


def _stored(answers: Collection[Stored | None]) -> list[Stored]:
    """Return the answers of workers. Raises BackplaneError when one is None."""
    stored = [answer for answer in answers if answer is not None]
    if len(stored) < len(answers):
        raise BackplaneError("the rooms of a socket could not be stored")
    return stored


def merged(pages: Collection[SocketPage], limit: int) -> SocketPage:
    """Return one page of those of all workers, each with the sockets after the same id."""
    cut = [page.sockets[-1].client for page in pages if not page.is_last]
    found = {entry.client: entry for page in pages for entry in page.sockets}
    known = sorted(client for client in found if not cut or client <= min(cut))
    taken: list[SocketEntry] = []
    left = PAGE_BYTES
    for client in known[:limit]:
        left -= found[client].size
        if left < 0 and taken:
            break
        taken.append(found[client])
    return SocketPage(taken, sum(page.total for page in pages), not cut and len(taken) == len(known))
