"""Backlog of publications while a gap is being filled."""

from __future__ import annotations

from realtime_server.core.channels.channel import MAX_BYTES, MAX_PUBLICATIONS, Backlog
from realtime_server.core.model.values import Publication


def test_so_many_wait_and_no_more() -> None:
    """After an overflow nothing more is kept, so that the backlog has no gap."""
    backlog = Backlog()
    overflowed = []
    for offset in range(1, MAX_PUBLICATIONS + 2):
        backlog.take(Publication(b"1", offset), "epoch")
        overflowed.append(backlog.overflowed)
    assert overflowed == [False] * MAX_PUBLICATIONS + [True]
    assert len(backlog.arrivals) == MAX_PUBLICATIONS


def test_so_many_bytes_wait_and_no_more() -> None:
    """A small publication after one that exceeded the size is not kept either."""
    backlog = Backlog()
    half = b"1" * (MAX_BYTES // 2)
    for offset in (1, 2, 3):
        backlog.take(Publication(half, offset), "epoch")
    backlog.take(Publication(b"1", 4), "epoch")
    assert backlog.overflowed
    assert [publication.offset for publication, _ in backlog.arrivals] == [1, 2]


def test_a_copy_goes_its_own_way() -> None:
    """A copy has the same remaining capacity."""
    backlog = Backlog()
    backlog.take(Publication(b"1" * MAX_BYTES, 1), "epoch")
    copy = backlog.copy()
    copy.take(Publication(b"1", 2), "epoch")
    assert copy.overflowed
    assert not backlog.overflowed
    assert backlog.arrivals == copy.arrivals
