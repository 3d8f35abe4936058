"""Comparison of the messages of a publisher with the deliveries to stock clients."""

from __future__ import annotations

import contextlib
from collections import defaultdict

from tests.kit.api import Publisher
from tests.kit.clients import Record, StockClients
from tests.kit.deadline import DeadlineMissedError
from tests.kit.document import whole_at
from tests.kit.ledger import Balance, Delivered, balance


def delivered(record: Record, clients: int, prefix: str = "client") -> dict[str, list[Delivered]]:
    """Return what each of `clients` clients got from a `Publisher`, by the client's name."""
    got: dict[str, list[Delivered]] = {f"{prefix} {number}": [] for number in range(clients)}
    for publication in record.publications():
        sequence = whole_at(publication.data, "sequence")
        got[f"{prefix} {publication.client}"].append(Delivered(publication.channel, sequence, publication.offset))
    return got


async def settle(clients: StockClients, publisher: Publisher, *, within: float = 5) -> Balance:
    """Wait until every client has the last confirmed publication of its channels, or the time is over; then compare.

    Publications that were made before a client was subscribed must not be in the publisher's list. Every client is
    subscribed to every channel of the publisher.
    """
    last: dict[str, int] = defaultdict(int)
    for publication in publisher.published:
        last[publication.channel] = max(last[publication.channel], publication.sequence)
    wanted = {(client, sequence) for client in range(clients.options.count) for sequence in last.values()}

    def arrived(record: Record) -> bool:
        recent = record.publications()[-len(wanted) * 20 :]
        return wanted <= {(p.client, whole_at(p.data, "sequence")) for p in recent}

    with contextlib.suppress(DeadlineMissedError):  # the balance says what is missing
        await clients.record.wait(arrived, what="the last publications", within=within)
    return balance(
        publisher.published,
        delivered(clients.record, clients.options.count),
        uncertain=[sequence for sequence, _ in publisher.failed],
    )
