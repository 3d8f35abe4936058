"""What a token lets its client do in which channels (claim `caps`, as Centrifugo's tokens have it)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import lru_cache

import msgspec
import re2

MAX_PATTERNS = 100
"""Wildcards and regular expressions of one token: all of them may be tried for each command."""
MAX_PATTERN_CHARACTERS = 255
MAX_PATTERN_BYTES = 1 << 17
"""Memory for one pattern; RE2 goes on without its tables when they do not fit, only slower."""
KNOWN_PATTERNS = 256
"""So many patterns are kept compiled; the tokens of one application have the same few."""


class PatternError(ValueError):
    """A pattern of a capability cannot be used; the text says which and why."""


class Action(StrEnum):
    """What a client can do in a channel, by the name that it has in tokens."""

    SUBSCRIBE = "sub"
    PUBLISH = "pub"
    PRESENCE = "prs"
    HISTORY = "hst"


class Match(StrEnum):
    """How the channels of a capability are meant."""

    EXACT = ""
    WILDCARD = "wildcard"
    """`*` stands for any characters, also none."""
    REGEX = "regex"
    """The whole name has to match. Syntax of RE2, which is that of Go: no name takes long to be matched."""


class Capability(msgspec.Struct, frozen=True):
    """These actions are allowed in these channels."""

    channels: tuple[str, ...]
    allow: tuple[Action, ...]
    match: Match = Match.EXACT

    def covers(self, channel: str) -> bool:
        """Whether it is about this channel."""
        if self.match is Match.EXACT:
            return channel in self.channels
        return any(_compiled(pattern, self.match)(channel) for pattern in self.channels)


def check(capabilities: Sequence[Capability]) -> None:
    """Raises PatternError when a pattern cannot be used, or there are too many."""
    patterns = [(one.match, text) for one in capabilities if one.match is not Match.EXACT for text in one.channels]
    if len(patterns) > MAX_PATTERNS:
        raise PatternError(f"{len(patterns)} patterns, more than {MAX_PATTERNS}")
    for match, text in patterns:
        _compiled(text, match)


def allows(capabilities: Sequence[Capability], action: Action, channel: str) -> bool:
    """Whether the first capability that is about this channel has the action; those that follow it do not count."""
    for capability in capabilities:
        if capability.covers(channel):
            return action in capability.allow
    return False


@lru_cache(maxsize=KNOWN_PATTERNS)
def _compiled(pattern: str, match: Match) -> Callable[[str], bool]:
    """Whether a whole name matches."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise PatternError(f"{pattern[:20]}...: has more than {MAX_PATTERN_CHARACTERS} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PATTERN_BYTES
    options.dot_nl = match is Match.WILDCARD
    text = ".*".join(map(re2.escape, pattern.split("*"))) if match is Match.WILDCARD else pattern
    try:
        compiled = re2.compile(text, options)
    except re2.error as error:
        raise PatternError(f"{pattern}: is no regular expression of RE2") from error
    return lambda name: compiled.fullmatch(name) is not None
