"""Names of keys, and their slots."""

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
    """All names of a channel are in one slot, whatever braces the channel's name has, so that scripts can use them."""
    partition = KEYS.partition_of(channel)
    names = [KEYS.of(channel, kind) for kind in ("stream", "position", "channel")]
    names += [KEYS.named(partition, "generation"), KEYS.of(channel, "presence", "expiry")]
    assert {key_slot(name) for name in names} == {KEYS.slot(partition)}
    assert len(set(names)) == len(names)


@given(NAMES, NAMES)
def test_two_channels_have_two_names(one: str, other: str) -> None:
    assert (KEYS.of(one, "stream") == KEYS.of(other, "stream")) == (one == other)


@pytest.mark.parametrize("partitions", [2, 3, 64, 1024])
def test_partitions_are_spread_evenly_over_the_slots(partitions: int) -> None:
    """Each equal share of the slots has one partition."""
    keys = Keys("realtime", partitions)
    assert [keys.slot(index) * partitions // SLOTS for index in range(partitions)] == list(range(partitions))


def test_channels_are_spread_evenly_over_the_partitions() -> None:
    """Channels are spread over the partitions within what chance allows."""
    counts = Counter(KEYS.partition_of(f"room:{number}") for number in range(16_000))
    assert len(counts) == 16
    assert max(counts.values()) < 1.2 * 1000


def test_alone_there_is_one_partition() -> None:
    """Outside a cluster there is one partition with names of the same form."""
    keys = Keys("realtime", 1)
    assert keys.partition_of("news") == 0
    assert keys.of("news", "stream") == b"{realtime:0}:stream:news"


def test_the_names_of_a_channel_are_made_once() -> None:
    """Names are cached, and the cache is bounded."""
    keys = Keys("realtime", 4)
    first = keys.channel("news")
    assert keys.channel("news") is first
    names = (keys.of("news", kind) for kind in ("stream", "position", "channel"))
    assert first == (keys.partition_of("news"), *names, False)
    for number in range(REMEMBERED):
        keys.channel(f"c{number}")
    assert keys.channel("news") is not first
    assert keys.channel("news") == first


def test_all_channels_of_an_ordered_namespace_are_in_one_partition() -> None:
    """Their names say that they are ordered; channels of other namespaces are spread."""
    keys = Keys("chat", 64, ["rooms", "default"])
    names = ["rooms:a", "rooms:b", "$rooms:c", "rooms:d:e"]
    assert len({keys.channel(name).partition for name in names}) == 1
    assert all(keys.channel(name).ordered for name in names)
    assert keys.channel("a").partition == keys.channel("#anna").partition != keys.channel("rooms:a").partition
    others = [keys.channel(f"news:{number}") for number in range(1000)]
    assert len({other.partition for other in others}) == 64
    assert not any(other.ordered for other in others)
    assert keys.of("rooms:a", "stream") == keys.channel("rooms:a").stream
