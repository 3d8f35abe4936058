"""Path of a route: `/ws/NAME`, or with segments below it, of which some are placeholders: `/ws/rooms/{room}`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote

PREFIX = "/ws/"
"""Beginning of the path of every route."""
MAX_SEGMENTS = 8
_SEGMENT = re.compile(r"\{([A-Za-z0-9_-]{1,64})\}|([a-z0-9._-]{1,64})")


class RoutePathError(ValueError):
    """Path that no route can have; the text says why, and what would be right."""


class RoutePath(NamedTuple):
    """Path of the route with this name; `below` are the segments after it, a placeholder with its braces."""

    name: str
    below: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as it is documented: `/ws/rooms/{room}`."""
        return "/".join((self.base, *self.below))

    @property
    def base(self) -> str:
        """Path of the route without what is below its name."""
        return PREFIX + self.name

    @property
    def pattern(self) -> str:
        """Path as the port for clients knows it: with /* at the end, for all that is below."""
        return f"{self.base}/*" if self.below else self.base

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Names of the placeholders in their order."""
        return tuple(segment[1:-1] for segment in self.below if segment.startswith("{"))

    def values(self, path: str) -> Mapping[str, Sequence[str]] | None:
        """Return the decoded values of the placeholders in the path of a request, None when it is another path.

        Raises UnicodeDecodeError.
        """
        if not self.below:
            return {}  # the port knows the path
        segments = path.removeprefix(self.base + "/").split("/", MAX_SEGMENTS)
        if not path.startswith(self.base + "/") or len(segments) != len(self.below):
            return None
        found: dict[str, Sequence[str]] = {}
        for segment, given in zip(self.below, segments, strict=True):
            if segment.startswith("{"):
                found[segment[1:-1]] = (unquote(given, errors="strict"),)
            elif segment != given:
                return None
        return found


def parse_path(name: str, text: str) -> RoutePath:
    """Parse what is below the name of a route: "", or segments that each begin with a slash. Raises RoutePathError."""
    if not text:
        return RoutePath(name)
    first, *segments = text.split("/")
    if first or len(segments) > MAX_SEGMENTS or not all(map(_SEGMENT.fullmatch, segments)):
        raise RoutePathError(
            f"{text}: is no path below a route; write segments like /{{room}} or /{{room}}/messages, at most"
            f" {MAX_SEGMENTS}, in which constants are lower-case letters, digits, -, _ and ."
        )
    path = RoutePath(name, tuple(segments))
    names = path.placeholders
    if len(set(names)) < len(names):
        raise RoutePathError(f"{text}: has a placeholder twice; give each its own name")
    return path
