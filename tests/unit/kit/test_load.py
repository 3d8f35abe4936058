"""Tests of the figures about many clients."""

from __future__ import annotations

from realtime_operator.api.base import JsonValue
from tests.kit.api import Publisher
from tests.kit.clients import (
    Channel,
    ClientOptions,
    Connected,
    Connecting,
    Event,
    Publication,
    Record,
    StockClients,
    Subscribed,
)
from tests.kit.ledger import Published
from tests.kit.load import Load, Phase, quantile
from tests.kit.sdk import ProgramClients

A, B = "chat:0", "chat:1"


def group(*events: Event) -> StockClients:
    """Return two clients with a channel each, that have seen these events."""
    options = ClientOptions([], 2, [Channel(A), Channel(B)], spread=True)
    clients = ProgramClients(options, ())
    clients.record = Record()
    for event in events:
        clients.record.add(event)
    return clients


def subscribed(client: int, at: float, *, recovered: bool | None = None) -> Subscribed:
    """Return a subscribe; `recovered` None: it asked for no recovery."""
    return Subscribed(client, at, (A, B)[client], recovered is not None, recovered is True, 1, "e")


def publication(client: int, at: float, sequence: int, sent: float) -> Publication:
    """Return a delivery to a client on its channel."""
    data: JsonValue = {"sequence": sequence, "at": sent}
    return Publication(client, at, (A, B)[client], sequence, data)


def published(*channels: str) -> Publisher:
    """Return a publisher that has published in these channels one after another."""
    confirmed = [Published(channel, number, number, "e") for number, channel in enumerate(channels, start=1)]
    return Publisher((A, B), confirmed)


def test_each_client_is_held_against_its_own_channel() -> None:
    both = [subscribed(0, 1.0), subscribed(1, 1.0)]
    whole = group(*both, publication(0, 2.0, 1, 1.9), publication(1, 2.0, 2, 1.9), publication(0, 2.5, 3, 2.4))
    assert Load((whole,), published(A, B, A)).balance().exact
    short = Load((group(*both, publication(0, 2.0, 1, 1.9)),), published(A, B, A))
    assert [account.lost for account in short.balance().accounts] == [(3,), (2,)]
    assert len(short.untold(short.balance())) == 2
    told = Load((group(*both, subscribed(0, 3.0, recovered=False)),), published(A, B))
    assert [account.subscriber for account in told.untold(told.balance())] == ["0:client 1"]


def test_moves_gaps_and_live_deliveries_of_a_phase() -> None:
    """What was published while the client was away is no live delivery; other ends are no moves."""
    clients = group(
        Connected(0, 0.5, "a"),
        subscribed(0, 1.0),
        publication(0, 2.0, 1, 1.5),
        Connecting(0, 3.0, 3011, "force reconnect"),
        subscribed(0, 4.0, recovered=True),
        publication(0, 4.1, 2, 3.5),
        publication(0, 5.0, 3, 4.9),
        Connecting(0, 20.0, 1, "transport closed"),
        subscribed(0, 21.0, recovered=False),
    )
    running = Load((clients,), published(), [Phase("moves", 1.5, 10.0), Phase("crash", 10.0, 30.0)])
    moves, crash = running.figures()
    assert (moves.asked, moves.lost, moves.gap, moves.unrecovered) == (1, 0, 1.0, 0)
    assert (moves.deliveries, round(moves.p50, 3), round(moves.p99, 3)) == (2, 0.1, 0.5)
    assert (crash.asked, crash.lost, crash.gap, crash.unrecovered) == (0, 1, 1.0, 1)
    assert "| moves | 8 | 1 | 1 | 0.0 | 0 | 1000 | 2 | 100.0 | 500.0 | 0 |" in running.describe()


def test_a_quantile_is_one_of_the_values() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([], 0.99) == 0.0
