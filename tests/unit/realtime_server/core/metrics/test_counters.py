"""Counting of exceeded limits."""

from __future__ import annotations

from realtime_server import codes
from realtime_server.core.limits.limit import Limit
from realtime_server.core.metrics.counters import Counters


def test_every_limit_is_told_from_the_beginning() -> None:
    """Every limit starts at zero, which alerts on an increase need."""
    assert dict(Counters().limits_exceeded()) == dict.fromkeys(Limit, 0)


def test_a_limit_is_counted_as_such_or_by_what_means_nothing_else() -> None:
    """A limit is counted by itself, or by a code or reason that stands for it alone."""
    counters = Counters()
    counters.limits[Limit.REPLY_BYTES] += 1
    counters.disconnects[codes.SLOW.code] += 2
    counters.disconnects[1009] += 3
    counters.handshakes_rejected["too_large"] += 4
    counters.disconnects[codes.SHUTDOWN.code] += 5
    counters.handshakes_rejected["origin"] += 6
    found = {limit: count for limit, count in counters.limits_exceeded() if count}
    assert found == {Limit.REPLY_BYTES: 1, Limit.OUTBOX_BYTES: 2, Limit.MESSAGE_BYTES: 7}
