"""The account of what was published and what arrived: lost, duplicated, out of order, and how fast clients came back.

Pure: it takes lists and gives numbers. A publication is known by its sequence number, which the publisher put into it;
the offset that the API gave it must be the one with which it arrives.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """A publication that the server has confirmed."""

    channel: str
    sequence: int
    offset: int
    epoch: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivery of a publication to one subscriber."""

    channel: str
    sequence: int
    offset: int | None


@dataclass(frozen=True, slots=True)
class Account:
    """Deviations of one subscriber: losses, duplicates, reordering, wrong offsets, and unknown publications."""

    subscriber: str
    expected: int
    delivered: int
    lost: tuple[int, ...] = ()
    duplicated: tuple[int, ...] = ()
    out_of_order: tuple[int, ...] = ()
    wrong_offset: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()

    @property
    def exact(self) -> bool:
        """True when everything was delivered exactly once and in order."""
        return not (self.lost or self.duplicated or self.out_of_order or self.wrong_offset or self.unknown)


@dataclass(frozen=True, slots=True)
class Balance:
    """The accounts of all subscribers, and their sums."""

    accounts: tuple[Account, ...]

    @property
    def exact(self) -> bool:
        """True when every subscriber got everything exactly once and in order."""
        return all(account.exact for account in self.accounts)

    @property
    def delivered(self) -> int:
        """Number of deliveries."""
        return sum(account.delivered for account in self.accounts)

    @property
    def lost(self) -> int:
        """Number of missing deliveries."""
        return sum(len(account.lost) for account in self.accounts)

    @property
    def duplicated(self) -> int:
        """Number of publications that a subscriber got more than once."""
        return sum(len(account.duplicated) for account in self.accounts)

    def describe(self) -> str:
        """Return a line for each subscriber with a deviation; empty without any."""
        return "\n".join(_describe(account) for account in self.accounts if not account.exact)


def balance(
    published: Iterable[Published],
    delivered: Mapping[str, Sequence[Delivered]],
    uncertain: Iterable[int] = (),
) -> Balance:
    """Compare what was published with what each subscriber got.

    `uncertain` are the sequence numbers of publications that were not confirmed: they may arrive once or not at all.
    Every subscriber is expected to get every confirmed publication of the list, so leave out those of other channels.
    """
    confirmed = {publication.sequence: publication for publication in published}
    allowed = confirmed.keys() | set(uncertain)
    return Balance(tuple(_account(name, got, confirmed, allowed) for name, got in sorted(delivered.items())))


def _account(name: str, got: Sequence[Delivered], confirmed: Mapping[int, Published], allowed: set[int]) -> Account:
    counts = Counter(delivery.sequence for delivery in got)
    return Account(
        subscriber=name,
        expected=len(confirmed),
        delivered=len(got),
        lost=tuple(sorted(confirmed.keys() - counts.keys())),
        duplicated=tuple(sorted(sequence for sequence, times in counts.items() if times > 1)),
        out_of_order=tuple(_out_of_order(got)),
        wrong_offset=tuple(sorted(d.sequence for d in got if not _same_offset(d, confirmed.get(d.sequence)))),
        unknown=tuple(sorted(counts.keys() - allowed)),
    )


def _out_of_order(got: Sequence[Delivered]) -> list[int]:
    """Return the deliveries that came after a later publication of their channel."""
    highest: dict[str, int] = {}
    seen: set[int] = set()
    late: list[int] = []
    for delivery in got:
        if delivery.sequence not in seen and delivery.sequence < highest.get(delivery.channel, 0):
            late.append(delivery.sequence)
        seen.add(delivery.sequence)
        highest[delivery.channel] = max(delivery.sequence, highest.get(delivery.channel, 0))
    return late


def _same_offset(delivery: Delivered, publication: Published | None) -> bool:
    return publication is None or publication.offset == 0 or delivery.offset == publication.offset


def _describe(account: Account) -> str:
    faults = [
        f"{label} {len(numbers)} ({', '.join(map(str, numbers[:8]))}{', ...' if len(numbers) > 8 else ''})"
        for label, numbers in (
            ("lost", account.lost),
            ("duplicated", account.duplicated),
            ("out of order", account.out_of_order),
            ("wrong offset", account.wrong_offset),
            ("unknown", account.unknown),
        )
        if numbers
    ]
    return f"{account.subscriber}: {account.delivered} delivered of {account.expected}: {'; '.join(faults)}"


def largest_rate(times: Iterable[float], window: float = 1.0) -> float:
    """Return the largest rate per second of the times (seconds) within any window; 0 without times."""
    ordered = sorted(times)
    most = max((index + 1 - bisect_left(ordered, at - window, hi=index) for index, at in enumerate(ordered)), default=0)
    return most / window


def most_ahead(times: Iterable[float], begin: float, rate: float) -> float:
    """Return how many of the times (seconds) there were at most, at any of them, beyond `rate` a second since `begin`.

    Whoever notes things late, because the machine is busy, makes this smaller and never larger.
    """
    return max((number - rate * (at - begin) for number, at in enumerate(sorted(times), start=1)), default=0.0)
