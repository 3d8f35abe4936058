"""Tests of the epochs of channels."""

from __future__ import annotations

from realtime_server.protocols.plain.epochs import Epochs


def test_a_subscription_that_begins_knows_its_epoch() -> None:
    """The channel has none yet before its first subscriber."""
    known = {"b": "2"}
    epochs = Epochs(lambda channel: known.get(channel, ""))
    with epochs.joining("a", "1"):
        assert (epochs.of("a"), epochs.of("b"), epochs.of("c")) == ("1", "2", "")
    assert epochs.of("a") == ""
