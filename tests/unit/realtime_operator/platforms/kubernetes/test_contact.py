"""Tests of the detection of an unresponsive API server."""

from __future__ import annotations

from realtime_operator.platforms.kubernetes.contact import PATIENCE_SECONDS, Contact
from tests.unit.realtime_operator.platforms.kubernetes.hand_clock import HandClock


def test_nothing_asked_is_nothing_lost() -> None:
    """Without requests, and after an answered one, nothing is lost."""
    contact = Contact(HandClock())
    assert contact.lost_since() is None
    request = contact.began()
    contact.ended(request)
    contact.succeeded(request)
    assert contact.lost_since() is None


def test_a_request_that_waits_too_long_says_since_when() -> None:
    """The time is the start of the request, not the end of the patience."""
    clock = HandClock(100.0)
    contact = Contact(clock)
    request = contact.began()
    clock.now += PATIENCE_SECONDS
    assert contact.lost_since() is None
    clock.now += 0.1
    assert contact.lost_since() == 100.0
    contact.ended(request)
    contact.succeeded(request)
    assert contact.lost_since() is None


def test_a_failure_counts_until_a_later_request_succeeds() -> None:
    """The answer to a request that started before the failure does not end it."""
    clock = HandClock(10.0)
    contact = Contact(clock)
    early = contact.began()
    clock.now = 11.0
    failing = contact.began()
    for request in (failing, early):
        contact.ended(request)
    contact.failed(failing)
    contact.succeeded(early)
    assert contact.lost_since() == 11.0
    clock.now = 20.0
    later = contact.began()
    contact.ended(later)
    contact.failed(later)
    assert contact.lost_since() == 11.0, "the first failure of a row"
    again = contact.began()
    contact.ended(again)
    contact.succeeded(again)
    assert contact.lost_since() is None
