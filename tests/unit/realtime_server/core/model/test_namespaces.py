"""Which options a channel has."""

from __future__ import annotations

import pytest

from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.namespaces import Namespaces, owner_of, personal_channel

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


STRANGE = ("42", "alice@example.com", "auth0|7", "a#b", "a,b", "urn:user:7", "#", "$x", ":", "ä")
"""Ids of users, some of which read like something else in the name of a channel."""


@pytest.mark.parametrize("user", STRANGE)
@pytest.mark.parametrize("namespace", ["default", "inbox"])
def test_a_personal_channel_has_one_owner(namespace: str, user: str) -> None:
    """Whatever characters are in the user's id; its options are those of its namespace."""
    options = ChannelOptions(personal_channel=True)
    namespaces = Namespaces([(namespace, options), ("other", CHAT)])
    (channel,) = namespaces.personal_channels(user)
    assert channel == personal_channel(namespace, user)
    assert owner_of(channel) == user
    assert namespaces.of(channel) is options


@pytest.mark.parametrize("channel", ["inbox", "inbox:", "inbox:dialog#42", "dialog#42", "inbox:x:#42"])
def test_other_channels_have_no_owner(channel: str) -> None:
    """A user-limited channel has a name of its own before the boundary."""
    assert owner_of(channel) is None


def test_only_namespaces_that_ask_for_it_have_personal_channels() -> None:
    """One each; an anonymous user has none."""
    personal = ChannelOptions(personal_channel=True)
    namespaces = Namespaces([("chat", CHAT), ("inbox", personal), ("default", personal)])
    assert namespaces.personal_channels("42") == ("inbox:#42", "#42")
    assert namespaces.personal_channels("") == ()
    assert NAMESPACES.personal_channels("42") == ()
    assert namespaces.single_connection_channel("42") is None


def test_one_namespace_tells_where_connections_are_counted() -> None:
    """Only for users; an anonymous one may have any number."""
    single = ChannelOptions(personal_channel=True, presence=True, single_connection=True)
    namespaces = Namespaces([("inbox", single)])
    assert namespaces.single_connection_channel("42") == "inbox:#42"
    assert namespaces.single_connection_channel("") is None
