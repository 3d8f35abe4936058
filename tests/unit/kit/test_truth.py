"""What counts as a lie to a subscriber."""

from __future__ import annotations

from tests.kit.clients import Event, Publication, Subscribed
from tests.kit.ledger import Published
from tests.kit.truth import truth_of


def subscribed(epoch: str, offset: int, *, recovered: bool | None = None) -> Subscribed:
    return Subscribed(0, 0.0, "c", recovered is not None, bool(recovered), offset, epoch)


def got(offset: int, sequence: int | None = None) -> Publication:
    return Publication(0, 0.0, "c", offset, {"sequence": sequence or offset})


def lies(*events: Event, published: tuple[Published, ...] = ()) -> list[str]:
    return truth_of(events, published).lies


def test_all_in_order_is_the_truth() -> None:
    """Through a recovery too."""
    events: list[Event] = [subscribed("e", 0), got(1), subscribed("e", 2, recovered=True), got(2), got(3)]
    found = truth_of(events, [Published("c", 2, 2, "e")])
    assert (found.lies, found.told_of_a_loss, found.positions) == ([], 0, {(0, "c"): ("e", 3)})


def test_a_loss_that_was_told_is_the_truth() -> None:
    """From the new position on."""
    found = truth_of([subscribed("e", 0), got(1), subscribed("f", 5, recovered=False), got(6)], [])
    assert (found.lies, found.told_of_a_loss) == ([], 1)


def test_a_gap_is_a_lie() -> None:
    """Also one that a recovery should have filled."""
    assert lies(subscribed("e", 0), got(1), got(3))
    assert lies(subscribed("e", 0), got(1), subscribed("e", 3, recovered=True), got(3))
    assert lies(subscribed("e", 0), got(1), got(1))


def test_recovering_into_another_epoch_is_a_lie() -> None:
    """Positions of two epochs cannot be compared."""
    assert lies(subscribed("e", 1), subscribed("f", 1, recovered=True))


def test_an_offset_that_was_given_twice_is_a_lie() -> None:
    """Whether a subscriber or the publisher knows of the first one."""
    assert lies(subscribed("e", 0), got(1, sequence=7), published=(Published("c", 1, 1, "e"),))
    assert lies(published=(Published("c", 1, 1, "e"), Published("c", 2, 1, "e")))
