"""Namespace of Socket.IO."""

from __future__ import annotations

import uuid

import pytest

from realtime_server.protocols.socket_io.namespace_codec import NamespaceCodec
from realtime_server.socket_io.socket_namespace import SocketNamespace, is_socket_id, socket_id
from tests.unit.realtime_server.socket_io.world import FRAMING


@pytest.mark.parametrize(
    ("channel_namespace", "room", "channel"),
    [
        ("", "a", "a"),
        ("", "chat:a", "chat:a"),
        ("default", "a", "a"),
        ("chat", "a", "chat:a"),
        ("chat", "$a", "chat:$a"),
    ],
)
def test_a_room_is_a_channel(channel_namespace: str, room: str, channel: str) -> None:
    namespace = SocketNamespace("/", NamespaceCodec("/", FRAMING), channel_namespace)
    assert namespace.channel_of(room) == channel
    assert namespace.room_of(channel) == room


def test_a_channel_of_another_namespace_is_no_room() -> None:
    namespace = SocketNamespace("/", NamespaceCodec("/", FRAMING), "chat")
    assert namespace.room_of("news:a") is None
    assert namespace.room_of("chat") is None


def test_ids_of_sockets_are_told_from_names_of_rooms() -> None:
    """Also from those that are random."""
    name = uuid.uuid4().hex
    assert is_socket_id(socket_id(name))
    assert not any(map(is_socket_id, (name, str(uuid.uuid4()), "io-lobby", f"{socket_id(name)}0", "")))
