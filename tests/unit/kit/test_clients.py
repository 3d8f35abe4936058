"""The record of stock clients answers what is now and what has happened."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from tests.kit.clients import Connected, Connecting, Disconnected, Publication, Record, Subscribed
from tests.kit.deadline import DeadlineMissedError
from tests.kit.sdk import event_from_line


def recorded() -> Record:
    """Client 0 connected, subscribed and was moved once; client 1 is gone for good."""
    record = Record()
    for event in (
        Connecting(0, 1.0, 0, "connect called"),
        Connected(0, 2.0, "x"),
        Subscribed(0, 2.1, "chat:1", was_recovering=False, recovered=False, offset=3, epoch="e"),
        Publication(0, 2.2, "chat:1", 4, {"sequence": 1}),
        Connecting(1, 1.0, 0, "connect called"),
        Connected(1, 2.0, "y"),
        Disconnected(1, 3.0, 3503, "force disconnect"),
        Connecting(0, 4.0, 3011, "force reconnect"),
        Connected(0, 4.5, "z"),
    ):
        record.add(event)
    return record


def test_connected_is_who_is_connected_now() -> None:
    """A client that was disconnected or connects again does not count until it is connected."""
    assert recorded().connected == {0}


def test_a_lost_connection_takes_its_subscriptions_along() -> None:
    """Subscribed is what the server knows now."""
    record = recorded()
    assert record.subscribed == set()


def test_only_connections_that_were_there_are_lost() -> None:
    """The first connecting is no loss; the reason of a loss is its code."""
    assert [(event.client, event.code) for event in recorded().lost_connections()] == [(0, 3011)]


def test_reconnects_are_the_times_of_second_connections() -> None:
    """The first connection of a client is no reconnect."""
    assert recorded().reconnects() == [4.5]


def test_publications_are_found_by_channel_and_client() -> None:
    """Filters are exact."""
    record = recorded()
    assert [p.offset for p in record.publications("chat:1", 0)] == [4]
    assert record.publications("chat:2") == []
    assert record.publications(client=1) == []


async def test_a_missed_deadline_says_what_and_shows_the_last_events() -> None:
    """The failure text is enough to see what happened instead."""
    with pytest.raises(DeadlineMissedError, match=r"(?s)not within 0 s: a third client; .*force reconnect"):
        await recorded().wait(lambda record: 2 in record.connected, what="a third client", within=0)


def test_lines_of_the_program_become_events() -> None:
    """Offsets are whole numbers, or None where the channel has no history."""
    line: JsonObject = {"event": "publication", "client": 1, "at": 2.5, "channel": "c", "offset": 7, "data": {"a": [1]}}
    assert event_from_line(line) == Publication(1, 2.5, "c", 7, {"a": [1]})
    assert event_from_line({**line, "offset": None}) == Publication(1, 2.5, "c", None, {"a": [1]})


def test_a_line_that_is_no_event_is_told_apart() -> None:
    """Replies have their own way."""
    assert event_from_line({"event": "reply", "call": 1, "result": {}}) is None
