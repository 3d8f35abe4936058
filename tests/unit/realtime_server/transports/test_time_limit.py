"""Time limit that connections share, on an event loop whose clock the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from realtime_server.transports.time_limit import TimeLimit

SECONDS = 10.0


class ManualLoop(asyncio.SelectorEventLoop):
    """Event loop whose time is `now`."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass, and run what is due then."""
        self.now += seconds
        for _ in range(3):  # the timer, then what it calls
            self.run_until_complete(asyncio.sleep(0))


class Connection:
    """Object with a time limit; `over` is the number of times that it was over."""

    def __init__(self, *, fails: bool = False) -> None:
        self.over = 0
        self._fails = fails

    def on_timeout(self) -> None:
        self.over += 1
        if self._fails:
            raise ValueError("of one connection")


@pytest.fixture
def loop() -> Iterator[ManualLoop]:
    made = ManualLoop()
    yield made
    made.close()


@pytest.fixture
def limit(loop: ManualLoop) -> TimeLimit:
    return TimeLimit(loop, SECONDS)


def test_each_ends_when_its_own_time_is_over(loop: ManualLoop, limit: TimeLimit) -> None:
    """The timer of the first one is set again for the second."""
    first, second = Connection(), Connection()
    limit.start(first)
    loop.advance(4)
    limit.start(second)
    loop.advance(5.9)
    assert (first.over, second.over) == (0, 0)
    loop.advance(0.2)
    assert (first.over, second.over) == (1, 0)
    loop.advance(3.7)
    assert (first.over, second.over) == (1, 0)
    loop.advance(0.3)
    assert (first.over, second.over) == (1, 1)
    assert len(limit) == 0


def test_a_stopped_one_never_ends(loop: ManualLoop, limit: TimeLimit) -> None:
    """Nothing is kept of it."""
    stopped, other = Connection(), Connection()
    limit.start(stopped)
    limit.start(other)
    limit.stop(stopped)
    limit.stop(stopped)
    assert len(limit) == 1
    loop.advance(SECONDS)
    assert (stopped.over, other.over) == (0, 1)


def test_one_that_starts_again_gets_all_of_its_time(loop: ManualLoop, limit: TimeLimit) -> None:
    """It does not delay another that started before."""
    again, other = Connection(), Connection()
    limit.start(again)
    limit.start(other)
    loop.advance(6)
    limit.start(again)
    loop.advance(5)
    assert (again.over, other.over) == (0, 1)
    loop.advance(5)
    assert (again.over, other.over) == (1, 1)


def test_it_goes_on_after_a_pause(loop: ManualLoop, limit: TimeLimit) -> None:
    """The timer of one that was stopped finds nothing, and the next start sets another."""
    limit.start(early := Connection())
    limit.stop(early)
    loop.advance(2 * SECONDS)
    limit.start(late := Connection())
    loop.advance(SECONDS)
    assert late.over == 1


def test_an_error_of_one_is_none_of_the_others(loop: ManualLoop, limit: TimeLimit) -> None:
    """All of them are aborted."""
    errors: list[object] = []
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    failing, other = Connection(fails=True), Connection()
    limit.start(failing)
    limit.start(other)
    loop.advance(SECONDS)
    assert (failing.over, other.over) == (1, 1)
    assert len(errors) == 1
