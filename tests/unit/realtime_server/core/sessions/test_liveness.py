"""Time limit for answering a ping that waits behind earlier data."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.sessions.liveness import AwaitedPong

TIMEOUT = 8.0
PATIENCE = 33.0
POSITION = 1000
"""Position of the ping's last byte."""

STEPS = st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 3 * POSITION)), max_size=40)
"""Steps of elapsed seconds and acknowledged bytes, which may be from after the ping."""


def awaited() -> AwaitedPong:
    """Return a ping that was sent at 0."""
    return AwaitedPong(0.0, POSITION, timeout=TIMEOUT, patience=PATIENCE)


def deadline(pong: AwaitedPong) -> float:
    """Return the last moment at which it is not late, to a hundredth."""
    return max(time / 100 for time in range(int(PATIENCE * 200)) if not pong.is_late(time / 100))


@given(STEPS)
def test_nobody_has_longer_than_the_patience(steps: list[tuple[float, int]]) -> None:
    """The patience holds whatever a proxy acknowledges for a dead client."""
    pong, now, acknowledged = awaited(), 0.0, 0
    for seconds, more in steps:
        now, acknowledged = now + seconds, acknowledged + more
        pong.observe(now, acknowledged)
    assert pong.is_late(PATIENCE + 0.01)


@given(STEPS)
def test_nobody_has_less_than_the_timeout(steps: list[tuple[float, int]]) -> None:
    """Observations never shorten the time limit."""
    pong, now = awaited(), 0.0
    for seconds, acknowledged in steps:
        now += seconds
        pong.observe(now, acknowledged)
    assert not pong.is_late(TIMEOUT)


@given(STEPS, st.integers(0, POSITION))
def test_without_progress_before_the_ping_the_timeout_holds(steps: list[tuple[float, int]], stuck: int) -> None:
    """Nothing is acknowledged, or only data written after the ping."""
    for acknowledged in (stuck, POSITION):
        pong, now = awaited(), 0.0
        for seconds, more in steps:
            now += seconds
            pong.observe(now, acknowledged + (more if acknowledged == POSITION else 0))
        assert pong.is_late(TIMEOUT + 0.01)


@given(st.lists(st.floats(0.1, TIMEOUT), min_size=1, max_size=10))
def test_each_progress_gives_the_timeout_again(pauses: list[float]) -> None:
    """The timeout starts again at each observation, within the patience."""
    pong, now = awaited(), 1.0
    pong.observe(now, 0)
    for number, seconds in enumerate(pauses, 1):
        now += seconds
        pong.observe(now, number)
        if now <= PATIENCE:
            assert not pong.is_late(min(now + TIMEOUT, PATIENCE))
            assert pong.is_late(min(now + TIMEOUT, PATIENCE) + 0.01)


def test_once_delivered_there_is_nothing_left_to_observe() -> None:
    """The kernel need not be queried again."""
    pong = awaited()
    delivered = []
    for now, acknowledged in ((1, 10), (5, POSITION + 7)):
        pong.observe(now, acknowledged)
        delivered.append(pong.delivered)
    assert delivered == [False, True]
    assert deadline(pong) == 5 + TIMEOUT


def test_what_was_delivered_at_once_gives_no_more_time() -> None:
    """The first observation has nothing to compare with."""
    pong = awaited()
    pong.observe(1, POSITION)
    assert deadline(pong) == TIMEOUT


def test_while_the_server_does_not_read_or_the_client_sends_the_time_does_not_run() -> None:
    """Both time limits start again."""
    pong = awaited()
    pong.postpone(30)
    assert deadline(pong) == 30 + TIMEOUT
    pong.observe(31, 0)
    pong.observe(37, 1)
    assert deadline(pong) == 37 + TIMEOUT
