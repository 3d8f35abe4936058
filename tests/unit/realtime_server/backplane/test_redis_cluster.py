"""Slot map of a Redis Cluster."""

from __future__ import annotations

import pytest

from realtime_server.backplane.redis_cluster import SlotMap
from realtime_server.core.model.errors import BackplaneError

A, B = ("a", 1), ("b", 2)
MAP = SlotMap([(101, 200, B), (0, 99, A), (300, 300, A)])


@pytest.mark.parametrize(("slot", "primary"), [(0, A), (99, A), (101, B), (150, B), (200, B), (300, A)])
def test_a_slot_has_its_primary(slot: int, primary: tuple[str, int]) -> None:
    """Both ends of a range belong to it."""
    assert MAP.primary_of(slot) == primary


@pytest.mark.parametrize("slot", [100, 201, 299, 301])
def test_a_slot_that_nobody_has_is_told(slot: int) -> None:
    """A slot without a primary raises an error, as in a cluster that lost a primary and its replicas."""
    with pytest.raises(BackplaneError, match=f"slot {slot}"):
        MAP.primary_of(slot)


def test_an_empty_map_has_nothing() -> None:
    """A cluster without assigned slots has no primary for any slot."""
    with pytest.raises(BackplaneError):
        SlotMap([]).primary_of(0)
