"""Names of keys, and the slots that they are in."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from realtime_server.backplane.redis_keys import REMEMBERED, SLOTS, Keys

KEYS = Keys("chat.prod", 16)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(NAMES)
def test_all_names_of_a_channel_are_in_one_slot(channel: str) -> None:
    """Whatever braces are in its name: otherwise no script could use them together."""
    partition = KEYS.partition_of(channel)
    names = [KEYS.of(channel, kind) for kind in ("stream", "position", "channel")]
    names += [KEYS.named(partition, "generation"), KEYS.of(channel, "presence", "expiry")]
    assert {key_slot(name) for name in names} == {KEYS.slot(partition)}
    assert len(set(names)) == len(names)


@given(NAMES, NAMES)
def test_two_channels_have_two_names(one: str, other: str) -> None:
    """None hides another."""
    assert (KEYS.of(one, "stream") == KEYS.of(other, "stream")) == (one == other)


@pytest.mark.parametrize("partitions", [2, 3, 64, 1024])
def test_partitions_are_spread_evenly_over_the_slots(partitions: int) -> None:
    """One in each equal share, so that primaries with as many slots have as many partitions."""
    keys = Keys("realtime", partitions)
    assert [keys.slot(index) * partitions // SLOTS for index in range(partitions)] == list(range(partitions))


def test_channels_are_spread_evenly_over_the_partitions() -> None:
    """Within what chance allows."""
    counts = Counter(KEYS.partition_of(f"room:{number}") for number in range(16_000))
    assert len(counts) == 16
    assert max(counts.values()) < 1.2 * 1000


def test_alone_there_is_one_partition() -> None:
    """Its names look the same."""
    keys = Keys("realtime", 1)
    assert keys.partition_of("news") == 0
    assert keys.of("news", "stream") == b"{realtime:0}:stream:news"


def test_the_names_of_a_channel_are_made_once() -> None:
    """And not kept for ever: channels come and go."""
    keys = Keys("realtime", 4)
    first = keys.channel("news")
    assert keys.channel("news") is first
    assert first == (keys.partition_of("news"), *(keys.of("news", kind) for kind in ("stream", "position", "channel")))
    for number in range(REMEMBERED):
        keys.channel(f"c{number}")
    assert keys.channel("news") is not first
    assert keys.channel("news") == first
