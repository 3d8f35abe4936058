"""Publications held for a client that reads too slowly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.model.channel_options import SlowConsumer
from realtime_server.core.model.publication import Content
from realtime_server.core.sessions.held import CONFLATED_TAG, DROPPED_TAG, ITEM_BYTES, KEY_TAG, Held

DROP, CONFLATE = SlowConsumer.DROP_OLDEST, SlowConsumer.CONFLATE
SIZE = ITEM_BYTES + 1
"""Size of a publication of one byte."""
KEYED = SIZE + len(KEY_TAG) + 1
"""Size of a publication of one byte with a key of one letter."""
EVERYTHING = 10**9


def number(value: int, key: str | None = None) -> Content:
    """Return a numbered publication."""
    return Content(b"%d" % value, tags=None if key is None else {KEY_TAG: key})


def sent(held: Held, size: int = EVERYTHING) -> list[tuple[str, int, int, int]]:
    """Return each taken publication: channel, number, and the dropped and conflated counts in its tags."""
    taken = []
    for item in held.take(size):
        tags = item.with_drop_tags().tags or {}
        dropped, conflated = int(tags.get(DROPPED_TAG, 0)), int(tags.get(CONFLATED_TAG, 0))
        taken.append((item.channel, int(item.content.data), dropped, conflated))
    return taken


def test_the_oldest_go_when_there_is_too_much_and_the_next_one_tells() -> None:
    """Drops are reported in the channel in which they happened."""
    held = Held(3 * SIZE)
    for value in range(1, 6):
        held.put("a", DROP, number(value), 0)
    assert sent(held) == [("a", 3, 2, 0), ("a", 4, 0, 0), ("a", 5, 0, 0)]
    assert not held
    assert (held.dropped, held.size) == (2, 0)


def test_what_was_dropped_is_told_when_the_channel_goes_on() -> None:
    """Drops are reported even when no publication of the channel is held any more."""
    held = Held(2 * SIZE)
    for value, channel in enumerate("abc", start=1):
        held.put(channel, DROP, number(value), 0)
    assert sent(held) == [("b", 2, 0, 0), ("c", 3, 0, 0)]
    assert held
    assert not held.waits
    held.put("a", DROP, number(4), 0)
    assert sent(held) == [("a", 4, 1, 0)]
    assert not held


def test_a_busy_channel_does_not_push_out_a_quiet_one() -> None:
    """A quiet channel keeps its publication, since nothing would follow to report its loss."""
    held = Held(3 * SIZE)
    held.put("quiet", DROP, number(0), 0)
    for value in range(1, 6):
        held.put("busy", DROP, number(value), 0)
    assert sent(held) == [("quiet", 0, 0, 0), ("busy", 4, 3, 0), ("busy", 5, 0, 0)]


def test_tags_count_too() -> None:
    """Tags count towards the size."""
    held = Held(2 * SIZE)
    for _ in range(2):
        held.put("a", DROP, Content(b"1", tags={"note": "a" * SIZE}), 0)
    assert len(sent(held)) == 1


def test_of_one_key_the_newest_waits() -> None:
    """Without a key, all publications of a channel share one."""
    held = Held(100 * SIZE)
    for value, key in enumerate(("x", "y", "x", "x", None, None)):
        held.put("a", CONFLATE, number(value, key), 0)
    held.put("b", CONFLATE, number(6, "x"), 0)
    assert sent(held) == [("a", 1, 0, 0), ("a", 3, 0, 2), ("a", 5, 0, 1), ("b", 6, 0, 0)]


def test_too_many_keys_are_dropped_and_told_as_dropped() -> None:
    """Dropped publications of other keys are not counted as older ones of the next key."""
    held = Held(2 * KEYED)
    for value, key in enumerate(("x", "x", "y", "z")):
        held.put("a", CONFLATE, number(value, key), 0)
    assert sent(held) == [("a", 2, 2, 0), ("a", 3, 0, 0)]


def test_a_part_is_taken_from_the_oldest_on() -> None:
    """At least one publication is taken, however large."""
    held = Held(100 * SIZE)
    for value in range(5):
        held.put("a", DROP, number(value), 0)
    assert [value for _, value, _, _ in sent(held, 1)] == [0]
    assert [value for _, value, _, _ in sent(held, 2 * SIZE)] == [1, 2]
    assert held.waits
    assert [value for _, value, _, _ in sent(held)] == [3, 4]


def test_a_channel_can_be_forgotten() -> None:
    """Held publications and unreported drops of the channel are discarded."""
    held = Held(2 * SIZE)
    for value in range(3):
        held.put("a", DROP, number(value), 0)
    held.forget("a")
    assert (bool(held), held.size) == (False, 0)


def test_tags_of_the_publication_stay() -> None:
    """The counts are added to the publication's own tags."""
    held = Held(100 * SIZE)
    for value in range(2):
        held.put("a", CONFLATE, number(value, "x"), 0)
    [item] = held.take(EVERYTHING)
    assert item.with_drop_tags().tags == {KEY_TAG: "x", CONFLATED_TAG: "1"}
    assert item.content.tags == {KEY_TAG: "x"}


PUTS = st.tuples(st.sampled_from("ab"), st.sampled_from((DROP, CONFLATE)), st.none() | st.sampled_from("xy"))


@given(st.lists(st.one_of(PUTS, st.integers(1, 5 * SIZE)), max_size=60), st.integers(1, 6))
def test_nothing_is_missing_without_being_told(
    steps: list[tuple[str, SlowConsumer, str | None] | int], room: int
) -> None:
    """Delivered and reported publications of each channel add up to those put, and the size is bounded."""
    held = Held(room * SIZE)
    put = {"a": 0, "b": 0}
    accounted = {"a": 0, "b": 0}
    last = {"a": -1, "b": -1}
    policies = {"a": DROP, "b": CONFLATE}

    def take(size: int) -> None:
        for channel, value, dropped, conflated in sent(held, size):
            accounted[channel] += 1 + dropped + conflated
            assert value > last[channel]
            last[channel] = value

    for step in steps:
        if isinstance(step, int):
            take(step)
            continue
        channel, _, key = step
        held.put(channel, policies[channel], Content(b"%d" % put[channel], tags={KEY_TAG: key} if key else None), 0)
        put[channel] += 1
        assert held.size <= max(room * SIZE, KEYED + 1)
    while held.waits:
        take(SIZE)
    for channel in "ab":
        held.put(channel, policies[channel], Content(b"%d" % put[channel]), 0)
        put[channel] += 1
    take(EVERYTHING)
    for channel in "ab":
        held.put(channel, policies[channel], Content(b"%d" % put[channel]), 0)
        take(EVERYTHING)
        assert accounted[channel] == put[channel] + 1
    assert not held
