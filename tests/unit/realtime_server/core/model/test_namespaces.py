"""Options of a channel, by its name."""

from __future__ import annotations

import pytest

from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.namespaces import Namespaces, namespace_of, owner_of, personal_channel

CHAT, DEFAULT = ChannelOptions(presence=True), ChannelOptions(recovery=False, presence=True)
NAMESPACES = Namespaces([("chat", CHAT), ("default", DEFAULT)])


@pytest.mark.parametrize("channel", ["chat:", "chat:room", "chat:a:b", "$chat:room"])
def test_what_stands_before_the_first_colon_is_the_namespace(channel: str) -> None:
    """The prefix of a private channel is not part of the namespace."""
    assert NAMESPACES.of(channel) is CHAT


def test_a_channel_without_colon_has_the_default_options() -> None:
    """The default options are those of the namespace `default`, or the built-in ones."""
    assert NAMESPACES.of("room") is DEFAULT
    assert Namespaces([]).of("room") == ChannelOptions()


def test_an_unknown_namespace_has_no_channels() -> None:
    """A misspelt namespace is an error, instead of a channel without publications."""
    assert NAMESPACES.of("caht:room") is None
    assert NAMESPACES.of(":room") is None


@pytest.mark.parametrize(("channel", "legal"), [("c" * 255, True), ("c" * 256, False), ("ä" * 128, False), ("", False)])
def test_a_name_has_at_most_255_bytes(channel: str, legal: bool) -> None:
    """The limit counts bytes of UTF-8, as Redis stores the name."""
    assert (NAMESPACES.of(channel) is not None) is legal


STRANGE = ("42", "alice@example.com", "auth0|7", "a#b", "a,b", "urn:user:7", "#", "$x", ":", "ä")
"""User ids, some of which read like other parts of a channel's name."""


@pytest.mark.parametrize("user", STRANGE)
@pytest.mark.parametrize("namespace", ["default", "inbox"])
def test_a_personal_channel_has_one_owner(namespace: str, user: str) -> None:
    """The owner is found whatever characters the user id has; the options are those of the namespace."""
    options = ChannelOptions(personal_channel=True)
    namespaces = Namespaces([(namespace, options), ("other", CHAT)])
    (channel,) = namespaces.personal_channels(user)
    assert channel == personal_channel(namespace, user)
    assert owner_of(channel) == user
    assert namespaces.of(channel) is options
    assert namespace_of(channel) == (None if namespace == "default" else namespace)


@pytest.mark.parametrize("channel", ["inbox", "inbox:", "inbox:dialog#42", "dialog#42", "inbox:x:#42"])
def test_other_channels_have_no_owner(channel: str) -> None:
    """A user-limited channel has a name before the boundary."""
    assert owner_of(channel) is None


def test_only_namespaces_that_ask_for_it_have_personal_channels() -> None:
    """Each such namespace has one per user; an anonymous user has none."""
    personal = ChannelOptions(personal_channel=True)
    namespaces = Namespaces([("chat", CHAT), ("inbox", personal), ("default", personal)])
    assert namespaces.personal_channels("42") == ("inbox:#42", "#42")
    assert namespaces.personal_channels("") == ()
    assert NAMESPACES.personal_channels("42") == ()
    assert namespaces.single_connection_channel("42") is None


def test_one_namespace_tells_where_connections_are_counted() -> None:
    """An anonymous user may have any number of connections."""
    single = ChannelOptions(personal_channel=True, presence=True, single_connection=True)
    namespaces = Namespaces([("inbox", single)])
    assert namespaces.single_connection_channel("42") == "inbox:#42"
    assert namespaces.single_connection_channel("") is None
