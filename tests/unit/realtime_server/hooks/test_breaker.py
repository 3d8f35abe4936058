"""A backend that does not answer is left alone for a while."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime_server.hooks.breaker import FAILURES, OPEN_SECONDS, BreakerState, CircuitBreaker


def opened(now: float = 0.0) -> CircuitBreaker:
    """One that has just opened."""
    breaker = CircuitBreaker()
    for _ in range(FAILURES):
        assert breaker.allows(now)
        breaker.failed(now)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    """An answer in between begins the count anew."""
    breaker = CircuitBreaker()
    for _ in range(3 * FAILURES):
        for _ in range(FAILURES - 1):
            breaker.failed(0)
        breaker.succeeded()
    assert breaker.state(0) is BreakerState.CLOSED
    assert opened().state(0) is BreakerState.OPEN
    assert not opened().allows(0.99)


def test_one_trial_decides() -> None:
    """The others wait for it; a call that nobody waits for any more leaves the trial to the next."""
    breaker = opened()
    assert [breaker.allows(1) for _ in range(3)] == [True, False, False]
    breaker.abandoned()
    assert breaker.allows(1)
    breaker.succeeded()
    assert (breaker.state(1), breaker.allows(1)) == (BreakerState.CLOSED, True)


def test_each_trial_that_fails_doubles_the_pause() -> None:
    """Up to the longest one."""
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(8):
        began = now
        while not breaker.allows(now):
            now += 0.5
        pauses.append(now - began)
        breaker.failed(now)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


@given(st.lists(st.tuples(st.sampled_from(["call", "ok", "fail", "abandon"]), st.floats(0, 40)), max_size=80))
def test_it_never_stays_shut(steps: list[tuple[str, float]]) -> None:
    """Whatever happens: after the longest pause a call passes, and one good answer closes it."""
    breaker, now, under_way = CircuitBreaker(), 0.0, 0
    for step, pause in steps:
        now += pause
        if step == "call":
            under_way += breaker.allows(now)
        elif under_way:
            under_way -= 1
            if step == "fail":
                breaker.failed(now)
            else:
                (breaker.succeeded if step == "ok" else breaker.abandoned)()
    for _ in range(under_way):
        breaker.abandoned()
    now += OPEN_SECONDS[1]
    assert breaker.allows(now)
    breaker.succeeded()
    assert breaker.state(now) is BreakerState.CLOSED
