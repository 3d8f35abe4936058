"""Events of the last seconds: the window, the codes, and which connects count as failed."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server import codes
from realtime_server.codes import DisconnectCode, ErrorCode
from realtime_server.core.auth.claims import Claims
from realtime_server.core.metrics.counters import Counters
from realtime_server.core.metrics.recent_events import (
    CONNECTED,
    MOVED,
    OTHER,
    WINDOW_SECONDS,
    RecentCounter,
    RecentEvents,
    failure_name,
)
from realtime_server.core.model.errors import CommandError, DisconnectRequestedError
from realtime_server.core.node import Node
from realtime_server.core.ports.backend import Connected, Connecting, Hook, NoBackend
from realtime_server.core.serving import Serving
from realtime_server.protocols.centrifuge.json_unidirectional import UnidirectionalJsonCodec
from tests.kit.server_doubles import SECRET, Clock, RecordingConnection, accept, connected, make_node, send
from tests.kit.tokens import connection_token

GOOD = connection_token(SECRET, "alice")
EXPIRED = connection_token(SECRET, "alice", lifetime=-60)


# the window


def test_events_are_counted_by_kind() -> None:
    """Failures are counted by code; their sum is the number of failed connects."""
    counter = RecentCounter()
    for event in (CONNECTED, CONNECTED, MOVED, "3500", "100", "3500"):
        counter.count(event, 100.5)
    events = counter.report(100.9)
    assert events == RecentEvents(connects_succeeded=2, moved=1, failures={"100": 1, "3500": 2})
    assert events.connects_failed == 3


@given(st.lists(st.floats(0, 200), max_size=60).map(sorted), st.floats(0, 100))
def test_the_window_ends_after_its_seconds(times: list[float], later: float) -> None:
    """The window is the current second and the 29 before it."""
    counter = RecentCounter()
    for at in times:
        counter.count(CONNECTED, at)
    now = (times[-1] if times else 0) + later
    expected = sum(int(now) - int(at) < WINDOW_SECONDS for at in times)
    assert counter.report(now).connects_succeeded == expected


def test_workers_are_added_up() -> None:
    parts = [RecentEvents(1, 2, {"100": 1, "3500": 2}), RecentEvents(3, 4, {"3500": 5}), RecentEvents()]
    assert RecentEvents.combine(parts) == RecentEvents(4, 6, {"100": 1, "3500": 7})


@pytest.mark.parametrize(
    ("code", "name"),
    [(100, "100"), (111, "111"), (3004, "3004"), (3500, "3500")],
)
def test_codes_of_the_catalogue_are_reported_as_they_are(code: int, name: str) -> None:
    assert failure_name(code) == name


@pytest.mark.parametrize("code", [400, 403, 503, 1009, 1999, 4000, 4501, 4999])
def test_codes_of_a_backend_are_reported_as_one(code: int) -> None:
    """All codes of a backend share one name, even those with a meaning in HTTP or WebSocket."""
    assert failure_name(code) == OTHER


@pytest.mark.parametrize("code", [109, 3000, 3001, 3005, 3011])
def test_some_codes_are_no_failures(code: int) -> None:
    """An expired token, a client that left, and a server that stops are no failures."""
    assert failure_name(code) is None


# what a session counts


def failures(node: Node) -> dict[str, int]:
    """Return the recent failures of a node, checking them against its totals."""
    events = node.counters.recent.report(node.clock())
    assert node.counters.connects_failed == Counter(events.failures)
    assert node.counters.connects == events.connects_succeeded
    return dict(events.failures)


def test_a_client_that_is_let_in_has_succeeded() -> None:
    """A connect counts once, whatever happens to the connection later."""
    node = make_node()
    session, _ = connected(node, GOOD)
    send(session, {"id": 2, "connect": {}})
    assert session.closed
    assert failures(node) == {}
    assert node.counters.connects == 1


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ([{"id": 1, "connect": {"token": "wrong"}}], {"3500": 1}),
        ([{"id": 1, "connect": {}}], {"101": 1}),
        ([{"id": 1, "connect": {"token": EXPIRED}}], {}),
        ([{"id": 1, "subscribe": {"channel": "open:a"}}], {"3501": 1}),
        ([{"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "open:a"}}], {"101": 1}),
    ],
    ids=["invalid token", "no token", "expired token", "no connect", "with others"],
)
def test_a_refused_client_has_failed(commands: list[object], expected: dict[str, int]) -> None:
    """A refused connect is counted by the code of the reply or disconnect; an expired token is not counted."""
    node = make_node(anonymous=False)
    session, _ = accept(node)
    send(session, *commands)
    session.on_closed()
    assert failures(node) == expected
    assert node.counters.connects == 0


def test_limits_refuse_too() -> None:
    """Connects over a limit per user or per second count as failed."""
    node = make_node(connections_per_user=1, connects_per_second=2.5)
    for _ in range(2):
        send(accept(node)[0], {"id": 1, "connect": {"token": GOOD}})
    send(accept(node)[0], {"id": 1, "connect": {}})
    assert failures(node) == {"111": 1, "3504": 1}
    assert node.counters.connects == 1


@pytest.mark.parametrize(("request_", "expected"), [({"token": "wrong"}, {"3500": 1}), ({"token": EXPIRED}, {})])
def test_a_client_that_only_listens_is_counted_once(request_: dict[str, str], expected: dict[str, int]) -> None:
    """The error of a unidirectional client is a disconnect, and counts once."""
    node = make_node(anonymous=False)
    session = node.accept(RecordingConnection(), UnidirectionalJsonCodec(lambda message: message))
    send(session, request_)
    assert session.closed
    assert failures(node) == expected


@pytest.mark.parametrize(
    ("expected", "code"), [({}, codes.CONNECTION_CLOSED), ({}, codes.SHUTDOWN), ({}, codes.STALE)], ids=str
)
def test_who_has_not_tried_has_not_failed(expected: dict[str, int], code: DisconnectCode) -> None:
    """A socket without a connect command, as of a health check or scanner, is not counted."""
    node = make_node()
    session, _ = accept(node)
    session.on_closed(code)
    assert failures(node) == expected


class SlowBackend(NoBackend):
    """Backend that answers connect hooks when the test says so."""

    def __init__(self, answer: Connected | Exception) -> None:
        self.answer = answer
        self.go = asyncio.Event()

    def asks(self, hook: Hook, channel: str = "") -> bool:
        """Return True for the connect hook."""
        del channel
        return hook is Hook.CONNECT

    async def connect(self, request: Connecting) -> Connected:
        """See Backend."""
        del request
        await self.go.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def settle() -> None:
    """Run the session's task until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Connected(Claims("alice")), {}),
        (CommandError(codes.INTERNAL), {"100": 1}),
        (CommandError(ErrorCode(1234, "not today")), {OTHER: 1}),
        (DisconnectRequestedError(DisconnectCode(4501, "banned")), {OTHER: 1}),
        (RuntimeError("a fault of ours"), {"3004": 1}),
    ],
    ids=["let in", "down", "error", "banned", "fault"],
)
async def test_the_backend_decides(answer: Connected | Exception, expected: dict[str, int]) -> None:
    """The backend's own codes share one name."""
    backend = SlowBackend(answer)
    node = make_node(backend=backend)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    send(accept(node)[0], {"id": 1, "connect": {}})
    backend.go.set()
    await settle()
    assert failures(node) == expected
    assert node.counters.connects == (not expected)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(codes.CONNECTION_CLOSED, {}), (codes.FORCE_RECONNECT, {}), (codes.STALE, {"3502": 1})],
    ids=["client went", "moved", "took too long"],
)
async def test_a_connect_that_ends_while_it_waits(code: DisconnectCode, expected: dict[str, int]) -> None:
    """A connect that ends while it waits counts as failed only where this server made it wait too long."""
    backend = SlowBackend(Connected(Claims("alice")))
    node = make_node(backend=backend)
    session, _ = accept(node)
    send(session, {"id": 1, "connect": {}})
    await settle()
    session.on_closed(code)
    backend.go.set()
    await settle()
    assert failures(node) == expected
    assert node.counters.connects == 0


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("connection_limit", {"503": 1}), ("socket_limit", {"503": 1}), ("origin", {"403": 1}), ("path", {})],
)
def test_refused_handshakes_of_clients_count(reason: str, expected: dict[str, int]) -> None:
    """Refused handshakes count unless they come from scanners."""
    clock = Clock()
    counters = Counters(clock)
    counters.count_rejected_handshake(reason)
    assert counters.recent.report(clock.now).failures == expected
    assert counters.handshakes_rejected == {reason: 1}


def test_only_what_this_server_moves_counts_as_moved() -> None:
    """Connections that clients close are not counted as moved, and none counts as failed."""
    clock = Clock()
    node = make_node(clock=clock)
    serving = Serving(node)
    sessions = [connected(node)[0] for _ in range(5)]
    sessions[0].on_closed()
    serving.shed(1, 10)
    clock.now += 1
    serving.tick()
    serving.drain(2)
    clock.now += 1
    serving.tick()
    recent = serving.status().recent
    assert recent == RecentEvents(connects_succeeded=5, moved=3)
    clock.now += WINDOW_SECONDS
    assert serving.status().recent == RecentEvents()
