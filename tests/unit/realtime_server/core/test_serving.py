"""Service state of a worker, and moving its connections away."""

from __future__ import annotations

from realtime_server import codes
from realtime_server.core.ports.api import ServingState
from realtime_server.core.serving import MEASURED_ACCEPTS, Serving
from tests.kit.server_doubles import Clock, RecordingConnection, connected, make_node, send


class Fleet:
    """Worker with a number of connections, the oldest first."""

    def __init__(self, connections: int) -> None:
        self.clock = Clock()
        self.node = make_node(clock=self.clock)
        self.serving = Serving(self.node)
        self.connections: list[RecordingConnection] = [connected(self.node)[1] for _ in range(connections)]

    def after(self, seconds: float) -> int:
        """Return the number of connections left after ticks of a tenth of a second."""
        for _ in range(round(seconds * 10)):
            self.clock.now += 0.1
            self.serving.tick()
        return len(self.node.sessions)


def test_a_drain_moves_the_oldest_first_at_its_rate() -> None:
    """The code 3011 makes every SDK reconnect and recover."""
    fleet = Fleet(10)
    fleet.serving.drain(2)
    assert fleet.after(2) == 6
    assert [c.closed_by for c in fleet.connections] == [codes.FORCE_RECONNECT] * 4 + [None] * 6


async def test_a_drain_moves_first_whose_users_notice_least() -> None:
    """Idle, then busy, then those that miss what is published meanwhile, then one that a move would interrupt."""
    fleet = Fleet(4)
    interrupted, missing, busy, idle = fleet.connections
    interrupted.congested = True
    send(list(fleet.node.sessions)[1], {"id": 2, "subscribe": {"channel": "news:room"}})
    busy.written_bytes = 1_000_000
    fleet.serving.drain(1)
    order = []
    for _ in fleet.connections:
        fleet.after(1)
        order += [c for c in fleet.connections if c.closed_by is not None and c not in order]
    assert [id(c) for c in order] == [id(c) for c in (idle, busy, missing, interrupted)]


def test_a_drain_that_was_stopped_begins_anew() -> None:
    """The order is that of the connections at the next beginning."""
    fleet = Fleet(3)
    fleet.serving.drain(1)
    assert fleet.after(1) == 2
    fleet.serving.resume()
    fleet.connections[1].written_bytes = 1_000_000
    fleet.serving.drain(1)
    assert fleet.after(1) == 1
    assert [c.closed_by for c in fleet.connections] == [codes.FORCE_RECONNECT, None, codes.FORCE_RECONNECT]


def test_a_running_drain_takes_a_new_rate() -> None:
    """The new rate applies to the same drain."""
    fleet = Fleet(20)
    fleet.serving.drain(1)
    fleet.after(1)
    fleet.serving.drain(10)
    assert fleet.after(1) == 9
    assert fleet.node.counters.drains == 1


def test_who_comes_during_a_drain_is_moved_too() -> None:
    """A client with an outdated DNS answer is moved too."""
    fleet = Fleet(1)
    fleet.serving.drain(10)
    assert fleet.after(1) == 0
    connected(fleet.node)
    assert fleet.serving.status().state is ServingState.DRAINING
    assert fleet.after(1) == 0
    assert fleet.serving.status().state is ServingState.DRAINED
    assert fleet.serving.status().moved_total == 2


def test_a_stopped_drain_leaves_the_rest_quiesced() -> None:
    """The worker stays quiesced until it is resumed."""
    fleet = Fleet(10)
    fleet.serving.drain(10)
    fleet.after(0.5)
    fleet.serving.stop_drain()
    assert fleet.after(5) == 5
    assert fleet.serving.status().state is ServingState.QUIESCED
    fleet.serving.resume()
    assert fleet.serving.status().state is ServingState.SERVING


def test_the_time_since_a_worker_left_service_begins_once() -> None:
    """The time starts with the first of quiesce and drain."""
    fleet = Fleet(1)
    fleet.serving.quiesce()
    left_at = fleet.clock.now
    fleet.after(3)
    fleet.serving.drain(1)
    fleet.serving.stop(1, 600)
    assert fleet.serving.left_at == left_at


def test_a_worker_that_serves_has_not_left() -> None:
    """A worker that sheds or is resumed has not left service."""
    fleet = Fleet(1)
    fleet.serving.quiesce()
    fleet.serving.resume()
    fleet.serving.shed(1, 1)
    assert fleet.serving.left_at is None


def test_shedding_is_no_quiescing() -> None:
    """New connections are accepted."""
    fleet = Fleet(10)
    fleet.serving.shed(3, 100)
    assert fleet.after(2) == 7
    assert fleet.serving.status().state is ServingState.SERVING


def test_every_call_can_be_made_twice() -> None:
    """Repeated calls have no further effect, as after a change of the operator's leader."""
    fleet = Fleet(4)
    for _ in range(2):
        fleet.serving.quiesce()
    assert fleet.serving.status().state is ServingState.QUIESCED
    for _ in range(2):
        fleet.serving.drain(1)
    fleet.serving.quiesce()
    assert fleet.serving.status().state is ServingState.DRAINING
    for _ in range(2):
        fleet.serving.resume()
    assert fleet.serving.status().state is ServingState.SERVING


def test_a_worker_that_is_being_stopped_cannot_be_resumed() -> None:
    fleet = Fleet(2)
    fleet.serving.stop(100, 600)
    fleet.serving.resume()
    fleet.serving.stop_drain()
    assert fleet.after(1) == 0
    assert fleet.serving.status().state is ServingState.DRAINED


def test_a_drain_at_no_rate_waits() -> None:
    """The operator sets 0 while no other server can receive; a worker that must stop does not wait."""
    fleet = Fleet(10)
    fleet.serving.drain(0)
    assert fleet.after(30) == 10
    assert fleet.serving.status().state is ServingState.DRAINING
    fleet.serving.drain(2)
    assert fleet.after(1.1) == 8
    fleet.serving.drain(0)
    fleet.serving.stop(2, 600)
    assert fleet.after(1.1) == 6


def test_who_must_stop_drains_at_its_share() -> None:
    """The share takes precedence over the configured rate."""
    fleet = Fleet(10)
    fleet.serving.set_share(2)
    fleet.serving.stop(100, 600)
    assert fleet.after(2) == 6


def test_who_must_stop_soon_drains_faster() -> None:
    fleet = Fleet(9)
    fleet.serving.set_share(0.1)
    fleet.serving.stop(0.1, 10)
    assert fleet.serving.status().drain_rate == 1


def test_a_drain_under_way_keeps_its_rate_at_the_end() -> None:
    """The operator has set it."""
    fleet = Fleet(10)
    fleet.serving.drain(1)
    fleet.serving.stop(100, 600)
    assert fleet.after(2) == 8


def test_what_is_left_at_the_end_is_closed_at_once() -> None:
    """The code is 3001."""
    fleet = Fleet(2)
    fleet.serving.close_all()
    assert [c.closed_by for c in fleet.connections] == [codes.SHUTDOWN] * 2


def test_the_cost_of_a_connection_is_told_when_it_is_known() -> None:
    """Few measurements yield no cost."""
    fleet = Fleet(0)
    for _ in range(MEASURED_ACCEPTS - 1):
        fleet.node.counters.observe_accept(0.002)
    assert fleet.serving.status().accept_cost_seconds is None
    fleet.node.counters.observe_accept(0.002)
    reported = fleet.serving.status().accept_cost_seconds
    assert reported is not None
    assert abs(reported - 0.002) < 1e-9


def test_the_last_accept_is_told_by_its_age() -> None:
    """The age of the last accept tells the operator when no more clients arrive."""
    fleet = Fleet(0)
    assert fleet.serving.status().seconds_since_last_accept is None
    connected(fleet.node)
    fleet.clock.now += 4
    assert fleet.serving.status().seconds_since_last_accept == 4
