"""Check of recovery: each subscriber of a recoverable channel got all publications, or was told that it had not.

Pure. A subscriber that is told `recovered: false` starts anew at the position that it was given. Between two such
answers it has to get every offset once and in order, and no offset of an epoch may ever mean two publications.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from realtime_operator.api.base import JsonValue
from tests.kit.clients import Event, Publication, Subscribed
from tests.kit.ledger import Published


@dataclass
class _Follower:
    epoch: str
    offset: int


@dataclass
class Truth:
    """Result: `lies` as text, the number of reported losses, and the current position of each subscriber."""

    lies: list[str] = field(default_factory=list)
    told_of_a_loss: int = 0
    positions: dict[tuple[int, str], tuple[str, int]] = field(default_factory=dict)
    """(client, channel) -> (epoch, offset)."""


def truth_of(events: Iterable[Event], published: Iterable[Published]) -> Truth:
    """Check the events of every subscriber; `published` are the confirmed publications."""
    found = Truth()
    followers: dict[tuple[int, str], _Follower] = {}
    meanings: dict[tuple[str, str, int], int] = {}
    for publication in published:
        _mean(found, meanings, (publication.channel, publication.epoch, publication.offset), publication.sequence)
    for event in events:
        if isinstance(event, Subscribed):
            _subscribe(found, followers, event)
        elif isinstance(event, Publication):
            _deliver(found, followers, meanings, event)
    found.positions = {who: (follower.epoch, follower.offset) for who, follower in followers.items()}
    return found


def _subscribe(found: Truth, followers: dict[tuple[int, str], _Follower], event: Subscribed) -> None:
    who = (event.client, event.channel)
    epoch, offset = event.epoch or "", event.offset or 0
    follower = followers.get(who)
    if follower is None or not event.recovered:
        found.told_of_a_loss += follower is not None
        followers[who] = _Follower(epoch, offset)
    elif epoch != follower.epoch:
        found.lies.append(f"client {event.client} recovered from epoch {follower.epoch} to {epoch}")


def _deliver(
    found: Truth,
    followers: Mapping[tuple[int, str], _Follower],
    meanings: dict[tuple[str, str, int], int],
    event: Publication,
) -> None:
    follower = followers[event.client, event.channel]
    if event.offset != follower.offset + 1:
        found.lies.append(f"client {event.client} got offset {event.offset} after {follower.offset}")
    follower.offset = event.offset or 0
    _mean(found, meanings, (event.channel, follower.epoch, follower.offset), _sequence(event.data))


def _mean(found: Truth, meanings: dict[tuple[str, str, int], int], place: tuple[str, str, int], sequence: int) -> None:
    known = meanings.setdefault(place, sequence)
    if known != sequence:
        channel, epoch, offset = place
        found.lies.append(f"{channel} {epoch} offset {offset} is publication {known} and publication {sequence}")


def _sequence(data: JsonValue) -> int:
    assert isinstance(data, dict)
    sequence = data["sequence"]
    assert isinstance(sequence, int)
    return sequence
