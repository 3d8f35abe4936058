"""The ledger finds what is lost, duplicated, out of order, misnumbered or made up, and nothing else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.ledger import Delivered, Published, balance, largest_rate, most_ahead

PUBLISHED = [Published("chat:1", number, number, "epoch") for number in range(1, 6)]
ALL = [Delivered("chat:1", number, number) for number in range(1, 6)]


def test_everything_once_and_in_order_is_exact() -> None:
    """Every confirmed publication arrived once, in order, with its offset."""
    result = balance(PUBLISHED, {"a": ALL, "b": ALL})
    assert result.exact
    assert (result.delivered, result.lost, result.duplicated, result.describe()) == (10, 0, 0, "")


def test_a_missing_publication_is_lost() -> None:
    """What was confirmed and did not arrive is lost, for that subscriber only."""
    result = balance(PUBLISHED, {"a": ALL, "b": [*ALL[:2], *ALL[3:]]})
    assert [account.lost for account in result.accounts] == [(), (3,)]
    assert result.describe() == "b: 4 delivered of 5: lost 1 (3)"


def test_a_subscriber_without_deliveries_lost_everything() -> None:
    """An empty list counts as one subscriber that lost all."""
    assert balance(PUBLISHED, {"a": []}).lost == 5


def test_a_second_delivery_is_duplicated_and_not_out_of_order() -> None:
    """The same publication again is one duplicate."""
    (account,) = balance(PUBLISHED, {"a": [*ALL, ALL[1]]}).accounts
    assert (account.duplicated, account.out_of_order, account.lost) == ((2,), (), ())


def test_an_earlier_publication_after_a_later_one_is_out_of_order() -> None:
    """Order is the order of publication within the channel."""
    (account,) = balance(PUBLISHED, {"a": [ALL[0], ALL[2], ALL[1], ALL[3], ALL[4]]}).accounts
    assert account.out_of_order == (2,)
    assert not account.exact


def test_channels_have_orders_of_their_own() -> None:
    """Between channels no order is promised."""
    published = [Published("a:1", 1, 1, "x"), Published("b:1", 2, 1, "y")]
    assert balance(published, {"s": [Delivered("b:1", 2, 1), Delivered("a:1", 1, 1)]}).exact


def test_an_offset_other_than_the_confirmed_one_is_wrong() -> None:
    """The offset of a delivery is the one that the API answered."""
    (account,) = balance(PUBLISHED, {"a": [*ALL[:4], Delivered("chat:1", 5, 6)]}).accounts
    assert account.wrong_offset == (5,)


def test_without_history_offsets_are_not_compared() -> None:
    """A channel without history has offset 0 at the API and none at the client."""
    assert balance([Published("x", 1, 0, "")], {"a": [Delivered("x", 1, None)]}).exact


@pytest.mark.parametrize("arrived", [[], [Delivered("chat:1", 6, 6)]])
def test_an_unconfirmed_publication_may_arrive_or_not(arrived: list[Delivered]) -> None:
    """Its outcome is not known to the publisher."""
    assert balance(PUBLISHED, {"a": [*ALL, *arrived]}, uncertain=[6]).exact


def test_what_nobody_published_is_unknown() -> None:
    """A delivery that is neither confirmed nor uncertain is a fault."""
    (account,) = balance(PUBLISHED, {"a": [*ALL, Delivered("chat:1", 9, 9)]}).accounts
    assert account.unknown == (9,)


@given(st.sets(st.integers(1, 40)), st.sets(st.integers(1, 40)), st.randoms(use_true_random=False))
def test_losses_and_duplicates_are_counted_exactly(lost: set[int], twice: set[int], rng: random.Random) -> None:
    """Whatever is left out or repeated, and wherever, is found; nothing else is."""
    published = [Published("c", number, number, "e") for number in range(1, 41)]
    got = [Delivered("c", number, number) for number in range(1, 41) if number not in lost]
    for number in sorted(twice - lost):
        got.insert(rng.randint(0, len(got)), Delivered("c", number, number))
    (account,) = balance(published, {"a": got}).accounts
    assert account.lost == tuple(sorted(lost))
    assert account.duplicated == tuple(sorted(twice - lost))


def test_the_largest_rate_is_that_of_the_busiest_second() -> None:
    """A window slides over the times; it is not aligned to anything."""
    assert largest_rate([0.0, 0.6, 0.9, 1.2, 1.5, 3.0]) == 4.0
    assert largest_rate([]) == 0.0


def test_the_largest_rate_of_a_shorter_window_is_per_second_too() -> None:
    """Two within half a second are four per second."""
    assert largest_rate([0.0, 0.4, 5.0], window=0.5) == 4.0


def test_who_keeps_to_a_rate_is_never_ahead() -> None:
    """However late it is noted."""
    assert most_ahead([10.5, 11.0, 11.5], begin=10.0, rate=2.0) == 0.0
    assert most_ahead([11.5, 11.5, 11.5], begin=10.0, rate=2.0) == 0.0
    assert most_ahead([], begin=10.0, rate=2.0) == 0.0


def test_who_is_too_fast_is_ahead() -> None:
    """By as many as were too early."""
    assert most_ahead([10.5, 10.5, 11.0, 11.0], begin=10.0, rate=2.0) == 2.0
