"""Capabilities: actions that a token permits in channels (claim `caps`, as in Centrifugo's tokens)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import lru_cache

import msgspec
import re2

MAX_PATTERNS = 100
"""Maximum number of wildcards and regular expressions per token: each command may try all of them."""
MAX_PATTERN_CHARACTERS = 255
MAX_PATTERN_BYTES = 1 << 17
"""Memory limit of one pattern; RE2 works without its tables when they do not fit, only more slowly."""
KNOWN_PATTERNS = 256
"""Number of cached compiled patterns; the tokens of an application share a few."""


class PatternError(ValueError):
    """Unusable pattern of a capability; the text says which and why."""


class Action(StrEnum):
    """Action of a client in a channel, by its name in tokens."""

    SUBSCRIBE = "sub"
    PUBLISH = "pub"
    PRESENCE = "prs"
    HISTORY = "hst"


class Match(StrEnum):
    """Kind of matching for the channels of a capability."""

    EXACT = ""
    WILDCARD = "wildcard"
    """`*` matches any characters, or none."""
    REGEX = "regex"
    """The whole name has to match a regular expression of RE2, the syntax of Go: matching takes linear time."""


class Capability(msgspec.Struct, frozen=True):
    """Permission of actions in channels."""

    channels: tuple[str, ...]
    allow: tuple[Action, ...]
    match: Match = Match.EXACT

    def covers(self, channel: str) -> bool:
        """Return True when this capability is about the channel."""
        if self.match is Match.EXACT:
            return channel in self.channels
        return any(_compiled(pattern, self.match)(channel) for pattern in self.channels)


def check(capabilities: Sequence[Capability]) -> None:
    """Check that all patterns are usable and not too many. Raises PatternError."""
    patterns = [(one.match, text) for one in capabilities if one.match is not Match.EXACT for text in one.channels]
    if len(patterns) > MAX_PATTERNS:
        raise PatternError(f"{len(patterns)} patterns, more than {MAX_PATTERNS}")
    for match, text in patterns:
        _compiled(text, match)


def allows(capabilities: Sequence[Capability], action: Action, channel: str) -> bool:
    """Return True when the first capability about this channel permits the action; later ones do not count."""
    for capability in capabilities:
        if capability.covers(channel):
            return action in capability.allow
    return False


@lru_cache(maxsize=KNOWN_PATTERNS)
def _compiled(pattern: str, match: Match) -> Callable[[str], bool]:
    """Compile a pattern to a predicate of whole names. Raises PatternError."""
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
