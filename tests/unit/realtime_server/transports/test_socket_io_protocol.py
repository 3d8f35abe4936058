"""Socket.IO on the port for clients: its paths and the handshakes that it refuses."""

from __future__ import annotations

import pytest

from realtime_server.protocols.socket_io.engine_requests import HTML
from realtime_server.socket_io.socket_namespace import ClientEvent
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.socket_io_protocol import NamespaceSettings, SocketIoProtocol, SocketIoSettings
from tests.kit.server_doubles import make_node
from tests.unit.realtime_server.protocols.socket_io.answers import RECORDED
from tests.unit.realtime_server.socket_io.world import POLLING

NAMESPACE = NamespaceSettings("/", "", frozenset(ClientEvent))


def protocol() -> SocketIoProtocol:
    """Return the protocol on a node of its own."""
    flusher = Flusher(lambda _flush: None, 65_536)
    return SocketIoProtocol(make_node(), SocketIoSettings("/socket.io/", (NAMESPACE,), 10), flusher)


def no_values(name: str) -> list[str]:
    """Return no line of any header."""
    del name
    return []


@pytest.mark.parametrize("name", ["upgrade with an unknown session", "upgrade with an unknown transport"])
def test_a_wrong_handshake_is_refused_as_by_the_reference(name: str) -> None:
    recorded = RECORDED[name]
    refusal = protocol().why_not(f"/socket.io/?{recorded.query}", no_values)
    assert refusal is not None
    assert (refusal.status, refusal.body, refusal.content_type) == (recorded.answer.status, recorded.answer.body, HTML)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("EIO=4&transport=websocket", None),
        ("transport=websocket&EIO=4&t=x&sid=", None),
        ("EIO=3&transport=websocket", "malformed"),
        ("EIO=4&transport=polling", "malformed"),
        ("EIO=4&transport=websocket&sid=nobody", "unknown_session"),
        ("EIO=4&transport=websocket&sid=nobody&sid=", "unknown_session"),
        ("", "malformed"),
    ],
)
async def test_a_refused_handshake_is_counted_by_its_reason(query: str, reason: str | None) -> None:
    refusal = protocol().why_not(f"/socket.io/?{query}", no_values)
    assert (None if refusal is None else refusal.reason) == reason


async def test_a_connection_that_polls_may_upgrade() -> None:
    """Its id is found as long as it is open."""
    served = protocol()
    connection = served.server.open_polling(POLLING)
    path = f"/socket.io/?EIO=4&transport=websocket&sid={connection.sid}"
    assert served.why_not(path, no_values) is None
    connection.lose()
    assert served.why_not(path, no_values) is not None


def test_polling_and_websockets_share_a_path() -> None:
    served = protocol()
    assert served.websocket_paths == tuple(served.routes()) == ("/socket.io/",)
    assert served.select_subprotocol("/socket.io/", []) is None
