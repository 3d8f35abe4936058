"""Order of the moves of a drain: idle and recoverable connections first, each connection once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.values import HistoryOptions
from realtime_server.core.sessions.move_order import MoveCost, MoveOrder, move_cost

LONG = ChannelOptions(history=HistoryOptions(100, 600), recovery=True)
SHORT = replace(LONG, history=HistoryOptions(100, 10))
READ_ONLY = replace(LONG, recovery=False)
NONE = ChannelOptions()
HOUR = 3600.0


@dataclass(eq=False)
class Client:
    """A session of the order; `cost` is that of moving it."""

    cost: int = 0
    busy: bool = False
    closed: bool = False


def cost_of(client: Client) -> MoveCost:
    """Return the cost of a client."""
    return MoveCost(misses=False, traffic=client.cost, brevity=0)


def test_from_the_cheapest_to_the_most_expensive() -> None:
    """Without subscriptions; idle with a long history and a short one; busy; then those that lose publications."""
    costs = [
        move_cost([], 0, HOUR),
        move_cost([LONG, LONG], 5_000, HOUR),
        move_cost([LONG, SHORT], 5_000, HOUR),
        move_cost([LONG], 1_000_000, HOUR),
        move_cost([SHORT], 1_000_000, HOUR),
        move_cost([LONG], 4_000_000, HOUR),
        move_cost([NONE], 0, HOUR),
        move_cost([LONG, READ_ONLY], 1_000_000, HOUR),
    ]
    assert sorted(costs) == costs
    assert len(set(costs)) == len(costs)


def test_a_connect_reply_is_no_traffic() -> None:
    """A connection that has just come is as idle as an old one that gets pings alone."""
    assert move_cost([LONG], 500, 0.1) == move_cost([LONG], 500, 10 * HOUR)


def test_of_equal_cost_the_first_comes_first() -> None:
    """The registry has the oldest connections first."""
    clients = [Client(1), Client(0), Client(1), Client(0)]
    order = MoveOrder(clients, cost_of)
    assert order.take(3) == [clients[1], clients[3], clients[0]]
    assert order.take(3) == [clients[2]]
    assert order.take(3) == []


def test_one_that_is_busy_is_moved_after_all_others() -> None:
    """It is the state at its turn that counts; at its second turn it is moved all the same."""
    first, second, third = clients = [Client(0), Client(1), Client(2)]
    order = MoveOrder(clients, cost_of)
    assert order.take(1) == [first]
    second.busy = True
    assert order.take(1) == [third]
    assert order.take(1) == [second]


clients_of_any_kind = st.lists(
    st.builds(Client, cost=st.integers(0, 3), busy=st.booleans(), closed=st.booleans()), max_size=30
)


@given(clients_of_any_kind, st.lists(st.integers(0, 7), max_size=60))
def test_each_open_connection_is_taken_once(clients: list[Client], counts: list[int]) -> None:
    """None more than asked for, and as many while there are any."""
    order = MoveOrder(clients, cost_of)
    left = {id(client) for client in clients if not client.closed}
    for count in counts:
        taken = order.take(count)
        assert len(taken) == min(count, len(left))
        for client in taken:
            left.remove(id(client))
