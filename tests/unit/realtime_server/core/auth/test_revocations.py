"""Tokens covered by revocations."""

from __future__ import annotations

import pytest

from realtime_server.core.auth.revocations import Revocations
from realtime_server.core.model.revocation import Credential, Revocation
from tests.kit.server_doubles import Clock

NOW, LATER = 1000.0, 2000.0
OF_TOKEN = Revocation(LATER, jti="t1")
OF_USER = Revocation(LATER, user="ann", issued_before=500)
OF_ALL = Revocation(LATER, issued_before=400)


def revocations(*some: Revocation, clock: Clock | None = None) -> Revocations:
    """Return these revocations, at time 1000."""
    made = Revocations(clock or Clock(NOW))
    for one in some:
        assert made.add(one)
    return made


@pytest.mark.parametrize(
    ("one", "credential", "covered"),
    [
        (OF_TOKEN, Credential("ann", "t1", 900), True),
        (OF_TOKEN, Credential("bob", "t1"), True),
        (OF_TOKEN, Credential("ann", "t2", 1), False),
        (OF_TOKEN, Credential("t1"), False),
        (OF_TOKEN, Credential(""), False),
        (OF_USER, Credential("ann", "t1", 499), True),
        (OF_USER, Credential("ann", issued_at=500), False),
        (OF_USER, Credential("ann"), True),
        (OF_USER, Credential("bob", issued_at=1), False),
        (OF_USER, Credential("", "ann", 1), False),
        (OF_ALL, Credential("ann", "t1", 399.5), True),
        (OF_ALL, Credential("", issued_at=399), True),
        (OF_ALL, Credential("bob"), True),
        (OF_ALL, Credential("bob", issued_at=400), False),
    ],
)
def test_what_is_covered(one: Revocation, credential: Credential, covered: bool) -> None:
    """Tokens are covered by id, by user and time, and by time alone; one without a time of issue counts as old."""
    assert revocations(one).covers(credential) is covered
    assert Revocations(Clock(NOW)).covers(credential) is False


def test_several_revocations_cover_what_each_covers() -> None:
    """A later revocation for all users does not replace an earlier one for a user, nor the reverse."""
    found = revocations(OF_TOKEN, OF_USER, OF_ALL)
    assert found.covers(Credential("bob", "t1", 900))
    assert found.covers(Credential("ann", "t2", 450))
    assert found.covers(Credential("bob", "t2", 350))
    assert not found.covers(Credential("bob", "t2", 450))
    assert len(found) == 3


def test_of_one_subject_the_latest_times_count() -> None:
    """`add` returns True only when something has changed."""
    found = revocations(OF_USER)
    assert not found.add(OF_USER)
    assert not found.add(Revocation(LATER - 1, user="ann", issued_before=499))
    assert found.add(Revocation(LATER - 1, user="ann", issued_before=600))
    assert found.covers(Credential("ann", issued_at=599))
    assert found.add(Revocation(LATER + 1, user="ann", issued_before=1))
    assert found.missing_from([]) == [Revocation(LATER + 1, user="ann", issued_before=600)]


@pytest.mark.parametrize("one", [OF_TOKEN, OF_USER, OF_ALL])
def test_a_revocation_ends(one: Revocation) -> None:
    """An expired revocation covers nothing, even before it is dropped."""
    clock = Clock(LATER - 1)
    found, credential = revocations(one, clock=clock), Credential("ann", "t1", 1)
    assert found.covers(credential)
    clock.now += 1
    assert not found.covers(credential)
    assert len(found) == 1
    found.drop_expired()
    assert len(found) == 0


def test_what_another_lacks() -> None:
    """Revocations that another store lacks, or keeps for less time, are returned."""
    found = revocations(OF_TOKEN, OF_USER, OF_ALL)
    older = Revocation(LATER - 1, user="ann", issued_before=700)
    assert found.missing_from([OF_TOKEN, OF_ALL]) == [OF_USER]
    assert found.missing_from([OF_TOKEN, OF_ALL, older]) == [OF_USER]
    assert found.missing_from([OF_TOKEN, OF_ALL, OF_USER]) == []


def test_what_is_refused_is_counted() -> None:
    """Refusals are counted, checks alone are not."""
    found, credential = revocations(OF_TOKEN), Credential("ann", "t1")
    assert found.covers(credential)
    assert found.refuses(credential)
    assert not found.refuses(Credential("ann", "t2"))
    assert found.refused == 1
