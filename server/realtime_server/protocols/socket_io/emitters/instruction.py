"""Instructions of emitters, whatever their format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from realtime_server.core.model.namespaces import MAX_CHANNEL_BYTES, is_too_long
from realtime_server.protocols.socket_io.attachments import Value
from realtime_server.protocols.socket_io.errors import EmitterError, Fault
from realtime_server.protocols.socket_io.packets import ROOT

MAX_ROOMS = 1000
"""Rooms that one message may name."""


class Targets(msgspec.Struct, frozen=True):
    """Sockets of a namespace that are in any of the rooms, of all rooms if there are none, and in none of `excluded`.

    The id of a socket is a room.
    """

    namespace: str
    rooms: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()


class Emit(msgspec.Struct, frozen=True):
    """Event for sockets: its name, unchecked, and its arguments. `volatile`: not for sockets that read too slowly."""

    targets: Targets
    event: list[Value]
    volatile: bool = False


class Join(msgspec.Struct, frozen=True):
    """Rooms that sockets are to join."""

    targets: Targets
    rooms: frozenset[str]


class Leave(msgspec.Struct, frozen=True):
    """Rooms that sockets are to leave."""

    targets: Targets
    rooms: frozenset[str]


class Disconnect(msgspec.Struct, frozen=True):
    """End of sockets; `whole`: with all other sockets of their connections."""

    targets: Targets
    whole: bool = False


Instruction: TypeAlias = Emit | Join | Leave | Disconnect
RoomName: TypeAlias = str | int
"""Name of a room as emitters write it; servers of JavaScript know numbers too."""


def targets_of(namespace: str | None, rooms: Iterable[RoomName], excluded: Iterable[RoomName] = ()) -> Targets:
    """Return the targets in a namespace, None for `/`. Raises EmitterError."""
    return Targets(namespace or ROOT, rooms_of(rooms), rooms_of(excluded))


def rooms_of(names: Iterable[RoomName]) -> frozenset[str]:
    """Return the names of rooms. Raises EmitterError when they are too many, or too long to be the names of rooms."""
    rooms = frozenset(map(str, names))
    if len(rooms) > MAX_ROOMS:
        raise EmitterError(Fault.TOO_MANY_ROOMS, f"a message names at most {MAX_ROOMS} rooms")
    if any(map(is_too_long, rooms)):
        raise EmitterError(Fault.BAD_PAYLOAD, f"the name of a room has at most {MAX_CHANNEL_BYTES} bytes")
    return rooms
