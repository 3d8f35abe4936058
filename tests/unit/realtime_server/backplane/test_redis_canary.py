"""Messages of a worker to itself."""

from __future__ import annotations

from realtime_server.backplane.redis_canary import MAX_WAITING, Canary


def test_a_message_that_comes_back_is_timed() -> None:
    """A message that comes back yields its round-trip time and proves the link."""
    canary = Canary(5)
    before = canary.proven
    message = canary.send(10.0)
    assert canary.arrive(message, 10.25) == 0.25
    assert (before, canary.proven) == (False, True)
    assert not canary.overdue(100)


def test_one_is_overdue_after_its_time() -> None:
    """The oldest message decides, however many follow it."""
    canary = Canary(5)
    for now in range(10, 10 + 2 * MAX_WAITING):
        canary.send(now)
    assert not canary.overdue(15)
    assert canary.overdue(15.1)


def test_a_later_one_ends_the_waiting_for_those_before() -> None:
    """Earlier messages count as lost; the time of the later one is returned."""
    canary = Canary(5)
    canary.send(10)
    last = canary.send(12)
    assert canary.arrive(last, 12.5) == 0.5
    assert not canary.overdue(100)


def test_what_was_not_waited_for_has_no_time() -> None:
    """A message from before a new link proves the link without yielding a time."""
    canary = Canary(5)
    message = canary.send(10)
    canary.arrive(message, 11)
    canary.forget()
    before = canary.proven
    assert canary.arrive(message, 12) is None
    assert (before, canary.proven) == (False, True)


def test_a_new_link_waits_for_nothing() -> None:
    """Messages sent before a new link are dropped."""
    canary = Canary(5)
    canary.send(10)
    canary.forget()
    assert not canary.overdue(100)
