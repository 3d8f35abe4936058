"""Namespace of Socket.IO."""

from __future__ import annotations

import pytest

from realtime_server.protocols.socket_io.namespace_codec import NamespaceCodec
from realtime_server.socket_io.socket_namespace import SocketNamespace
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
