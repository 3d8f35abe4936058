"""Permissions of clients in channels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.auth.capabilities import Action, Capability, Match
from realtime_server.core.auth.claims import Claims
from realtime_server.core.auth.permissions import (
    is_limited_to,
    may_publish,
    may_read_history,
    may_see_presence,
    may_subscribe,
)
from realtime_server.core.model.channel_options import Access, ChannelOptions, SubscribePermission

EVERYTHING = (Capability(("*",), tuple(Action), Match.WILDCARD),)
ALICE, NOBODY = Claims("alice"), Claims("")
POWERFUL = Claims("alice", capabilities=EVERYTHING)
ANYONE, AUTHENTICATED, TOKEN = SubscribePermission


@pytest.mark.parametrize(
    ("channel", "option", "claims", "allowed"),
    [
        # options of the namespace
        ("news", ANYONE, ALICE, True),
        ("news", ANYONE, NOBODY, True),
        ("news", AUTHENTICATED, ALICE, True),
        ("news", AUTHENTICATED, NOBODY, False),
        ("news", TOKEN, ALICE, False),
        ("news", TOKEN, NOBODY, False),
        # capabilities
        ("news", TOKEN, POWERFUL, True),
        ("news", AUTHENTICATED, Claims("", capabilities=EVERYTHING), True),
        ("news", TOKEN, Claims("alice", capabilities=(Capability(("news",), (Action.PUBLISH,)), *EVERYTHING)), False),
        # private channels
        ("$news", ANYONE, ALICE, False),
        ("$news", ANYONE, POWERFUL, False),
        ("$news#alice", ANYONE, ALICE, False),
        # channels of users
        ("news#alice", ANYONE, ALICE, True),
        ("news#alice", TOKEN, ALICE, True),
        ("news#bob", ANYONE, ALICE, False),
        ("news#bob", ANYONE, POWERFUL, False),
        ("chat:dialog#alice,bob", ANYONE, ALICE, True),
        ("chat:dialog#bob,alice", ANYONE, ALICE, True),
        ("chat:dialog#bob,alice2", ANYONE, ALICE, False),
        ("chat:dialog#alice#bob", ANYONE, ALICE, False),
        ("news#", ANYONE, ALICE, False),
        ("news#", ANYONE, NOBODY, False),
        ("news#,", ANYONE, NOBODY, False),
        ("news#alice", ANYONE, NOBODY, False),
        ("news# alice", ANYONE, ALICE, False),
        ("news#Alice", ANYONE, ALICE, False),
    ],
)
def test_who_may_subscribe(channel: str, option: SubscribePermission, claims: Claims, allowed: bool) -> None:
    """The channel's name takes precedence over its options, and these over the token."""
    assert may_subscribe(claims, channel, ChannelOptions(subscribe=option)) == allowed


@pytest.mark.parametrize(
    ("channel", "user", "allowed"),
    [
        ("inbox:#42", "42", True),
        ("inbox:#42", "43", False),
        ("inbox:#a,b", "a", False),
        ("inbox:#a,b", "a,b", True),
        ("inbox:#a#b", "b", False),
        ("inbox:#a#b", "a#b", True),
        ("#42", "42", True),
        ("#42", "43", False),
        ("inbox:#", "", False),
        ("#", "", False),
        ("inbox:dialog#42,43", "43", True),
        ("$inbox:#42", "42", False),
    ],
)
def test_a_personal_channel_is_for_its_owner_alone(channel: str, user: str, allowed: bool) -> None:
    """The owner alone may subscribe, even if its id reads like a list of users.

    Other user-limited channels are unaffected.
    """
    options = ChannelOptions(personal_channel=True)
    assert may_subscribe(Claims(user, capabilities=EVERYTHING), channel, options) == allowed


@pytest.mark.parametrize(
    ("channel", "access", "claims", "outside", "inside"),
    [
        ("news", Access.NOBODY, ALICE, False, False),
        ("news", Access.SUBSCRIBERS, ALICE, False, True),
        ("news", Access.SUBSCRIBERS, NOBODY, False, True),
        ("news", Access.ANYONE, ALICE, True, True),
        ("news", Access.ANYONE, NOBODY, True, True),
        ("news", Access.NOBODY, POWERFUL, True, True),
        ("news", Access.SUBSCRIBERS, POWERFUL, True, True),
        (
            "news",
            Access.NOBODY,
            Claims("alice", capabilities=(Capability(("news",), (Action.SUBSCRIBE,)),)),
            False,
            False,
        ),
        # nobody gets anything out of a channel, or into it, that could not be let in
        ("$news", Access.ANYONE, ALICE, False, True),
        ("$news", Access.ANYONE, POWERFUL, False, True),
        ("$news", Access.NOBODY, POWERFUL, False, True),
        ("news#bob", Access.ANYONE, ALICE, False, True),
        ("news#bob", Access.NOBODY, POWERFUL, False, True),
        ("news#alice", Access.NOBODY, ALICE, False, False),
    ],
)
def test_what_else_they_may(channel: str, access: Access, claims: Claims, outside: bool, inside: bool) -> None:
    """Publishing, presence and history follow the same rule, each with its own option."""
    options = ChannelOptions(publish=access, presence_for=access, history_for=access)
    for may in (may_publish, may_see_presence, may_read_history):
        assert may(claims, channel, options, subscribed=False) == outside
        assert may(claims, channel, options, subscribed=True) == inside


def test_each_option_and_each_capability_is_for_one_thing() -> None:
    """An option or capability for one action permits no other action."""
    closed = ChannelOptions(publish=Access.NOBODY, presence_for=Access.NOBODY, history_for=Access.NOBODY)
    questions = {Action.PUBLISH: may_publish, Action.PRESENCE: may_see_presence, Action.HISTORY: may_read_history}
    for allowed in questions:
        claims = Claims("alice", capabilities=(Capability(("news",), (allowed,)),))
        found = {action for action, may in questions.items() if may(claims, "news", closed, subscribed=True)}
        assert found == {allowed}
    assert may_publish(ALICE, "news", ChannelOptions(publish=Access.ANYONE), subscribed=False)
    assert not may_read_history(ALICE, "news", ChannelOptions(publish=Access.ANYONE), subscribed=False)


def test_what_was_allowed_before_there_were_options_is_allowed() -> None:
    """By default everybody may subscribe, subscribers may read, and nobody may publish."""
    options = ChannelOptions()
    assert may_subscribe(NOBODY, "news", options)
    assert may_see_presence(NOBODY, "news", options, subscribed=True)
    assert may_read_history(NOBODY, "news", options, subscribed=True)
    assert not may_see_presence(ALICE, "news", options, subscribed=False)
    assert not may_read_history(ALICE, "news", options, subscribed=False)
    assert not may_publish(ALICE, "news", options, subscribed=True)


USERS = st.text(st.characters(exclude_characters="#,", codec="utf-8"), min_size=1, max_size=5)


@given(name=st.text(max_size=5), users=st.lists(USERS, min_size=1, max_size=4), stranger=USERS)
def test_a_users_channel_is_for_its_users_and_no_others(name: str, users: list[str], stranger: str) -> None:
    """Only the users after the last boundary may subscribe."""
    channel = f"{name}#{','.join(users)}"
    assert all(is_limited_to(channel, user) for user in users)
    assert is_limited_to(channel, stranger) == (stranger in users)
    assert not is_limited_to(channel, "")
