"""Rates of admissions and of messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.commands.dispatcher import resumes
from realtime_server.core.limits.rates import Admission, KeyedRates, MessageRate
from realtime_server.core.model.commands import Command, ConnectRequest, SubscribeRequest
from tests.kit.server_doubles import Clock, accept, make_node, send


def test_each_key_has_a_rate_of_its_own() -> None:
    """A key that is used up refuses nothing to another one."""
    rates = KeyedRates(rate=0.5, size=2)
    assert [rates.take("a", 10) for _ in range(3)] == [True, True, False]
    assert rates.take("b", 10)
    assert [rates.take("a", now) for now in (11.9, 12)] == [False, True]


def test_a_second_s_connects_may_come_at_once() -> None:
    """Afterwards clients are admitted at the rate; unused capacity is not saved up for long."""
    admission = Admission(8, now=0)
    assert [admission.admit(0, resumes=True) for _ in range(9)] == [True] * 8 + [False]
    assert [admission.admit(0.25, resumes=True) for _ in range(3)] == [True, True, False]
    assert [admission.admit(1000, resumes=True) for _ in range(9)] == [True] * 8 + [False]


def test_a_part_is_kept_for_who_resumes() -> None:
    """New clients are refused first."""
    admission = Admission(9, now=0)
    assert [admission.admit(0, resumes=False) for _ in range(8)] == [True] * 7 + [False]
    assert [admission.admit(0, resumes=True) for _ in range(3)] == [True, True, False]


def test_a_rate_below_one_lets_one_in_after_the_other() -> None:
    """New clients are admitted too."""
    admission = Admission(0.5, now=0)
    assert admission.admit(0, resumes=False)
    assert not admission.admit(1.9, resumes=False)
    assert admission.admit(2, resumes=False)


@given(st.lists(st.tuples(st.floats(0, 2), st.booleans()), max_size=60), st.floats(0.1, 50))
def test_never_more_than_the_rate_and_one_second_s_worth(steps: list[tuple[float, bool]], rate: float) -> None:
    """Any order of arrivals is limited."""
    now, admitted = 0.0, 0
    admission = Admission(rate, now)
    for pause, resuming in steps:
        now += pause
        admitted += admission.admit(now, resumes=resuming)
    assert admitted <= max(1, rate) + now * rate + 1e-6


RECOVERING = SubscribeRequest(channel="chat:a", recover=True)


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ([Command(1, connect=ConnectRequest())], False),
        ([Command(1, connect=ConnectRequest()), Command(2, subscribe=SubscribeRequest("chat:a"))], False),
        ([Command(1, connect=ConnectRequest()), Command(2, subscribe=RECOVERING)], True),
        ([Command(1, connect=ConnectRequest(subs={"chat:a": RECOVERING}))], True),
    ],
    ids=["new", "subscribes", "recovers", "recovers what its token has"],
)
def test_who_resumes(commands: list[Command], expected: bool) -> None:
    """SDKs send their subscriptions together with the connect."""
    assert resumes(commands) is expected


def test_who_is_refused_is_told_to_try_again() -> None:
    """Error 111 is temporary: an SDK tries again, after growing pauses."""
    clock = Clock()
    node = make_node(clock=clock, connects_per_second=1)
    for expected in ("connect", "error"):
        session, connection = accept(node)
        send(session, {"id": 1, "connect": {}})
        replies = connection.take()
        assert expected in str(replies)
    assert replies == [{"id": 1, "error": {"code": 111, "message": "too many requests", "temporary": True}}]
    assert session.claims is None
    clock.now += 1
    send(session, {"id": 2, "connect": {}})
    assert "connect" in str(connection.take())


# messages of one connection

PAUSES = st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.1, 1.0, 30.0]), min_size=1, max_size=300)


@given(PAUSES, st.sampled_from([1.0, 10.0, 100.0]), st.sampled_from([1.0, 5.0, 50.0]))
def test_a_connection_is_never_faster_than_its_burst_and_its_rate(
    pauses: list[float], rate: float, burst: float
) -> None:
    """Any interval is limited, and a connection within its rate is never delayed."""
    limit, used_until, now = MessageRate(rate, burst), 0.0, 1000.0
    taken: list[float] = []
    for pause in pauses:
        now += pause
        if used_until <= now:
            used_until = limit.charge(used_until, now)
            taken.append(now)
        else:
            assert len(taken) >= burst
    for first in range(0, len(taken), 7):
        for last in range(first, len(taken), 11):
            assert last - first + 1 <= burst + (taken[last] - taken[first]) * rate + 0.5 + 1e-6


def test_a_burst_is_taken_at_once_and_what_follows_at_the_rate() -> None:
    """The delay is one message's share."""
    limit, used_until, now = MessageRate(10, 3), 0.0, 1000.0
    for _ in range(3):
        assert used_until <= now
        used_until = limit.charge(used_until, now)
    assert used_until - now == pytest.approx(0.05)
