"""Capabilities of tokens."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.auth.capabilities import (
    MAX_PATTERN_CHARACTERS,
    MAX_PATTERNS,
    Action,
    Capability,
    Match,
    PatternError,
    allows,
    check,
)
from realtime_server.core.auth.claims import ClaimError, connection_claims, read_payload


def capabilities(*claim: dict[str, object]) -> tuple[Capability, ...]:
    """Return the capabilities of a token with this claim."""
    return connection_claims(read_payload(json.dumps({"sub": "a", "caps": claim}).encode())).capabilities


@pytest.mark.parametrize(
    ("match", "pattern", "channel", "covered"),
    [
        ("", "news", "news", True),
        ("", "news", "news:1", False),
        ("", "news*", "news:1", False),
        ("wildcard", "news:*", "news:1", True),
        ("wildcard", "news:*", "news:", True),
        ("wildcard", "news:*", "old-news:1", False),
        ("wildcard", "*:public", "a:b:public", True),
        ("wildcard", "a*b*c", "a-b-c", True),
        ("wildcard", "a*b*c", "a-c-b", False),
        ("wildcard", "news.?[1]", "newsx?[1]", False),
        ("wildcard", "news.?[1]", "news.?[1]", True),
        ("wildcard", "*", "", True),
        ("wildcard", "a*", "a\nb", True),
        ("regex", "news:[0-9]+", "news:42", True),
        ("regex", "news:[0-9]+", "news:42x", False),
        ("regex", "^news:.*$", "news:x", True),
        ("regex", "news", "old news", False),
        ("regex", "a|bc", "ac", False),
    ],
)
def test_which_channels_are_meant(match: str, pattern: str, channel: str, covered: bool) -> None:
    """Channels match by name, by `*`, or by a regular expression of the whole name."""
    (capability,) = capabilities({"channels": [pattern], "match": match, "allow": ["sub"]})
    assert capability.covers(channel) == covered


def test_the_first_that_is_about_a_channel_decides() -> None:
    """Later capabilities about the same channel are not added, as in Centrifugo."""
    found = capabilities(
        {"channels": ["news", "chat"], "allow": ["pub"]},
        {"channels": ["*"], "match": "wildcard", "allow": ["sub", "prs", "hst"]},
    )
    assert [action for action in Action if allows(found, action, "news")] == [Action.PUBLISH]
    assert [action for action in Action if allows(found, action, "other")] == [
        Action.SUBSCRIBE, Action.PRESENCE, Action.HISTORY,
    ]  # fmt: skip
    assert not allows((), Action.SUBSCRIBE, "news")


@pytest.mark.parametrize(
    "claim",
    [
        {"channels": ["a"], "allow": ["fly"]},
        {"channels": ["a"], "allow": ["sub"], "match": "glob"},
        {"channels": "a", "allow": ["sub"]},
        {"channels": ["a"]},
        {"channels": ["("], "allow": ["sub"], "match": "regex"},
        {"channels": ["(?=a)"], "allow": ["sub"], "match": "regex"},
        {"channels": ["x" * (MAX_PATTERN_CHARACTERS + 1)], "allow": ["sub"], "match": "regex"},
        {"channels": ["a{1000}{1000}"], "allow": ["sub"], "match": "regex"},
        {"channels": [f"{number}*" for number in range(MAX_PATTERNS + 1)], "allow": ["sub"], "match": "wildcard"},
    ],
    ids=["unknown action", "unknown match", "channels a text", "no actions", "no expression", "not in RE2", "long",
         "large", "many"],
)  # fmt: skip
def test_a_capability_that_cannot_be_followed_is_refused(claim: dict[str, object]) -> None:
    """An invalid capability makes the token invalid."""
    with pytest.raises(ClaimError, match="caps"):
        capabilities(claim)


def test_many_names_are_no_patterns() -> None:
    """Exact names do not count towards the maximum of patterns."""
    names = [f"chat:{number}" for number in range(MAX_PATTERNS * 2)]
    assert allows(capabilities({"channels": names, "allow": ["sub"]}), Action.SUBSCRIBE, "chat:199")


def test_a_client_cannot_choose_a_name_that_takes_long() -> None:
    """Matching takes linear time, where backtracking would take 2^250 steps."""
    (capability,) = capabilities({"channels": ["(a+)+b"], "match": "regex", "allow": ["sub"]})
    began = time.process_time()
    assert not capability.covers("a" * 255)
    assert time.process_time() - began < 0.1


def reference(pattern: str, name: str) -> bool:
    """Match a wildcard by its definition: `*` takes nothing, or one character and goes on."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return reference(pattern[1:], name) or (bool(name) and reference(pattern, name[1:]))
    return bool(name) and name[0] == pattern[0] and reference(pattern[1:], name[1:])


@given(pattern=st.text("ab*.[\n", max_size=6), name=st.text("ab*.[\n", max_size=6))
def test_wildcards_mean_what_they_are_defined_to(pattern: str, name: str) -> None:
    """Characters other than `*` are literal."""
    assert Capability((pattern,), (Action.SUBSCRIBE,), Match.WILDCARD).covers(name) == reference(pattern, name)


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_a_pattern_or_is_refused(pattern: str, name: str) -> None:
    """Any text is either a valid pattern or raises PatternError."""
    capability = Capability((pattern,), (Action.SUBSCRIBE,), Match.REGEX)
    try:
        check([capability])
    except PatternError:
        return
    capability.covers(name)
