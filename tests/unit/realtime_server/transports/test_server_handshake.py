"""Server side of a handshake: one outcome, however the bytes arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.typing import Subprotocol

from realtime_server.transports.client_protocol import ClientProtocol, HandshakeRefusal
from realtime_server.transports.compression import Negotiation
from realtime_server.transports.handshake import AcceptedHandshake
from realtime_server.transports.path_table import PathTable
from realtime_server.transports.server_handshake import (
    NO_HTTP,
    HandshakePolicy,
    OtherRequest,
    Outcome,
    RefusedHandshake,
    ServerHandshake,
)
from tests.kit.echo_server import EchoProtocol
from tests.kit.raw_client import UPGRADE, request

PATH = "/connection/websocket"
DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate; client_no_context_takeover"}
REFUSAL = HandshakeRefusal(400, '{"code":0}', "application/json", "transport", {"X-Why": "unknown"})


class ChoosyProtocol(EchoProtocol):
    """Protocol that wants to know who asks: it refuses handshakes without a query."""

    def select_subprotocol(self, path: str, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """Select the last one, and only on its own path."""
        assert path == "/choosy"
        return offered[-1] if offered else None

    def why_not(self, path: str, values: Callable[[str], list[str]]) -> HandshakeRefusal | None:
        """Refuse a request without a query or a host."""
        return None if path.partition("?")[2] and values("host") else REFUSAL


PROTOCOLS: PathTable[ClientProtocol] = PathTable({PATH: EchoProtocol(), "/choosy": ChoosyProtocol()})
COMPRESSING = HandshakePolicy(PROTOCOLS, extensions=(Negotiation(),))
ONE_ORIGIN = HandshakePolicy(PROTOCOLS, origins=("https://example.com",))


def outcome_of(
    data: bytes, policy: HandshakePolicy = COMPRESSING, *, cuts: tuple[int, ...] = (), room: bool = True
) -> Outcome | None:
    """Return the outcome of a request split at `cuts`; after the outcome nothing more is passed."""

    def wants_http(head: bytes) -> bool | None:
        return head.startswith(b"POST ") if len(head) > 5 else None

    handshake = ServerHandshake(policy, wants_http, lambda: room)
    found, start = None, 0
    for end in (*sorted(cuts), len(data)):
        if found is None:
            found = handshake.receive(data[start:end])
        start = end
    return found


def refused(found: Outcome | None) -> tuple[int, str]:
    """Return status and reason of a refusal."""
    assert isinstance(found, RefusedHandshake)
    return int(found.response.split(b" ")[1]), found.reason


@given(st.sets(st.integers(1, len(request(PATH)) - 1), max_size=4), st.sampled_from([{}, DEFLATE]))
def test_it_is_accepted_however_the_bytes_arrive(cuts: set[int], extra: dict[str, str]) -> None:
    """The fast path and the library agree."""
    found = outcome_of(request(PATH, headers={**UPGRADE, **extra}), cuts=tuple(cuts))
    assert isinstance(found, AcceptedHandshake)
    assert (found.path, found.compressed) == (PATH, bool(extra))
    assert found.response.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("cuts", [(), (3,), (8,)])
def test_a_request_for_http_is_passed_on_whole(cuts: tuple[int, ...]) -> None:
    """The outcome comes as soon as it is known, with the data read so far."""
    found = outcome_of(b"POST /emulation HTTP/1.1\r\n", cuts=cuts)
    assert isinstance(found, OtherRequest)
    assert b"POST /emulation HTTP/1.1\r\n".startswith(found.data)
    assert len(found.data) == (8 if cuts == (8,) else 26)


def test_what_is_refused_says_why() -> None:
    """A refusal has a status, and a reason for the counter."""
    origin = {**UPGRADE, "Origin": "https://other.example.com"}
    assert refused(outcome_of(request("/elsewhere"))) == (404, "path")
    assert refused(outcome_of(request(PATH), room=False)) == (503, "connection_limit")
    assert refused(outcome_of(request(PATH, headers=origin), ONE_ORIGIN)) == (403, "origin")
    assert refused(outcome_of(request(PATH, headers={**UPGRADE, "Upgrade": "h2c"}))) == (426, "malformed")
    assert refused(outcome_of(request("/" + "a" * 20_000))) == (414, "head_too_large")
    assert outcome_of(b"\x16\x03\x01 no HTTP\r\n\r\n") == RefusedHandshake(NO_HTTP, "malformed")


def test_a_page_of_the_origin_is_let_in_and_so_is_who_sends_none() -> None:
    """A client that sends no origin is no browser."""
    for headers in (UPGRADE, {**UPGRADE, "Origin": "https://example.com"}):
        assert isinstance(outcome_of(request(PATH, headers=headers), ONE_ORIGIN), AcceptedHandshake)


def test_the_careful_way_has_the_same_limits() -> None:
    """A request with an offer of compression is refused when the server is full."""
    assert refused(outcome_of(request(PATH, headers={**UPGRADE, **DEFLATE}), room=False)) == (503, "connection_limit")


def test_nothing_is_decided_before_the_head_is_whole() -> None:
    """Every incomplete beginning yields None."""
    data = request(PATH)
    assert {outcome_of(data[:size]) for size in range(len(data))} == {None}


@pytest.mark.parametrize("extra", [{}, DEFLATE])
def test_a_protocol_refuses_with_an_answer_of_its_own(extra: dict[str, str]) -> None:
    """Status, body and headers are the protocol's, and so is the reason that is counted."""
    found = outcome_of(request("/choosy", headers={**UPGRADE, **extra}))
    assert refused(found) == (400, "transport")
    assert isinstance(found, RefusedHandshake)
    head, _, body = found.response.partition(b"\r\n\r\n")
    assert body == b'{"code":0}'
    assert b"\r\nContent-Type: application/json" in head
    assert b"text/plain" not in head
    assert b"\r\nX-Why: unknown" in head
    assert isinstance(outcome_of(request("/choosy?a=b", headers={**UPGRADE, **extra})), AcceptedHandshake)


@pytest.mark.parametrize("extra", [{}, DEFLATE])
@pytest.mark.parametrize(
    ("path", "offered", "selected"),
    [("/choosy?a=b", "one", "one"), ("/choosy?a=b", "one, two", "two"), (PATH, "one", None)],
)
def test_each_protocol_selects_its_subprotocols(
    path: str, offered: str, selected: str | None, extra: dict[str, str]
) -> None:
    """On the fast path and by the library."""
    found = outcome_of(request(path, headers={**UPGRADE, "Sec-WebSocket-Protocol": offered, **extra}))
    assert isinstance(found, AcceptedHandshake)
    assert found.subprotocol == selected
