"""Circuit breaker for a backend that does not answer, which no single client can open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.hooks.breaker import FAILURES, OPEN_SECONDS, QUIET_SECONDS, BreakerState, CircuitBreaker


def opened(now: float = 0.0) -> CircuitBreaker:
    """Return a breaker that has just opened."""
    breaker = CircuitBreaker()
    for _ in range(FAILURES):
        assert breaker.allows(now)
        breaker.failed(now)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    """An answer resets the count."""
    breaker = CircuitBreaker()
    for number in range(3 * FAILURES):
        for _ in range(FAILURES - 1):
            breaker.failed(number + QUIET_SECONDS)
        breaker.succeeded(number)
    assert breaker.state(0) is BreakerState.CLOSED
    assert opened().state(0) is BreakerState.OPEN
    assert not opened().allows(0.99)


def test_failures_of_one_client_are_one_failure() -> None:
    """The failures of one client count once; those of enough clients open the breaker."""
    breaker = CircuitBreaker()
    for _ in range(100):
        breaker.failed(0, "user mallory")
    for number in range(FAILURES - 2):
        breaker.failed(0, f"user {number}")
    assert breaker.state(0) is BreakerState.CLOSED
    breaker.failed(0, "user alice")
    assert breaker.state(0) is BreakerState.OPEN


def test_failures_that_no_client_can_cause_count_beside_the_others() -> None:
    """A backend that is unreachable is down, whoever the calls are for."""
    breaker = CircuitBreaker()
    breaker.failed(0, "user mallory")
    for _ in range(FAILURES - 1):
        assert breaker.state(0) is BreakerState.CLOSED
        breaker.failed(0)
    assert breaker.state(0) is BreakerState.OPEN


def test_a_backend_that_answered_a_moment_ago_is_not_left_alone() -> None:
    """One client with many users cannot open the breaker between two answers to others."""
    breaker = CircuitBreaker()
    for tenth in range(0, 100, 5):
        breaker.succeeded(tenth / 10)
        for number in range(3 * FAILURES):
            breaker.failed(tenth / 10 + 0.4, f"user {number}")
        assert breaker.state(tenth / 10 + 0.4) is BreakerState.CLOSED
    breaker.failed(9.5 + QUIET_SECONDS, "user 1")
    assert breaker.state(9.5 + QUIET_SECONDS) is BreakerState.OPEN


def test_one_trial_decides() -> None:
    """Other calls are refused meanwhile; an abandoned trial leaves it to the next call."""
    breaker = opened()
    assert [breaker.allows(1) for _ in range(3)] == [True, False, False]
    breaker.abandoned()
    assert breaker.allows(1)
    breaker.succeeded(1)
    assert (breaker.state(1), breaker.allows(1)) == (BreakerState.CLOSED, True)


def test_each_trial_that_fails_doubles_the_pause() -> None:
    """The pause has an upper limit."""
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(8):
        began = now
        while not breaker.allows(now):
            now += 0.5
        pauses.append(now - began)
        breaker.failed(now)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_client_that_always_fails_does_not_keep_it_open() -> None:
    """The next trial is left to other clients, and the client doubles the pause once only."""
    breaker, now = opened(), 0.0
    for _ in range(600):
        now += 0.1
        if breaker.allows(now, "user mallory"):
            breaker.failed(now, "user mallory")
    waited = 0.0
    while not breaker.allows(now + waited, "user alice"):
        waited += 0.1
    assert waited <= 2 * OPEN_SECONDS[0] + 0.1


@pytest.mark.parametrize("origin", ["", "user alice"])
@given(steps=st.lists(st.tuples(st.sampled_from(["call", "ok", "fail", "abandon"]), st.floats(0, 40)), max_size=80))
def test_it_never_stays_shut(origin: str, steps: list[tuple[str, float]]) -> None:
    """After twice the longest pause a call passes, and one answer closes the breaker."""
    breaker, now, under_way = CircuitBreaker(), 0.0, 0
    for step, pause in steps:
        now += pause
        if step == "call":
            under_way += breaker.allows(now, origin)
        elif under_way:
            under_way -= 1
            if step == "fail":
                breaker.failed(now, origin)
            elif step == "ok":
                breaker.succeeded(now)
            else:
                breaker.abandoned()
    for _ in range(under_way):
        breaker.abandoned()
    now += 2 * OPEN_SECONDS[1]
    assert breaker.allows(now, origin)
    breaker.succeeded(now)
    assert breaker.state(now) is BreakerState.CLOSED


ORIGINS = [f"user {number}" for number in range(FAILURES - 1)]


@given(st.lists(st.tuples(st.sampled_from(ORIGINS), st.floats(0, 5)), max_size=200))
def test_fewer_clients_than_failures_never_open_it(calls: list[tuple[str, float]]) -> None:
    breaker, now = CircuitBreaker(), 0.0
    for origin, pause in calls:
        now += pause
        assert breaker.allows(now, origin)
        breaker.failed(now, origin)
