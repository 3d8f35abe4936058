"""The table of what presence costs."""

from __future__ import annotations

from bench.presence import MEMBERS, Cost, table


def test_every_driver_and_call_has_a_row() -> None:
    """Redis' own part stands in brackets."""
    found = {
        "Redis": {members: {"join": Cost(90.4, 23.4)} for members in MEMBERS},
        "memory": {members: {"join": Cost(1234.5, 0)} for members in MEMBERS},
    }
    assert table(found).splitlines() == [
        "| one call, microseconds | 10 members | 1,000 members | 100,000 members |",
        "| --- | --- | --- | --- |",
        "| Redis: join | 90 (23) | 90 (23) | 90 (23) |",
        "| memory: join | 1,234 | 1,234 | 1,234 |",
    ]
