"""Which options a channel has."""

from __future__ import annotations

import pytest

from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.namespaces import Namespaces

CHAT, DEFAULT = ChannelOptions(presence=True), ChannelOptions(recovery=False, presence=True)
NAMESPACES = Namespaces([("chat", CHAT), ("default", DEFAULT)])


@pytest.mark.parametrize("channel", ["chat:", "chat:room", "chat:a:b", "$chat:room"])
def test_what_stands_before_the_first_colon_is_the_namespace(channel: str) -> None:
    """A private channel's prefix is not a part of it."""
    assert NAMESPACES.of(channel) is CHAT


def test_a_channel_without_colon_has_the_default_options() -> None:
    """Those of the namespace `default`, or none at all."""
    assert NAMESPACES.of("room") is DEFAULT
    assert Namespaces([]).of("room") == ChannelOptions()


def test_an_unknown_namespace_has_no_channels() -> None:
    """A typing error is told, instead of a channel on which nobody publishes."""
    assert NAMESPACES.of("caht:room") is None
    assert NAMESPACES.of(":room") is None


@pytest.mark.parametrize(("channel", "legal"), [("c" * 255, True), ("c" * 256, False), ("ä" * 128, False), ("", False)])
def test_a_name_has_at_most_255_bytes(channel: str, legal: bool) -> None:
    """In UTF-8, as Redis keeps it."""
    assert (NAMESPACES.of(channel) is not None) is legal
