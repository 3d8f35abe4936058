"""Table of what is at the paths of the port for clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

Value = TypeVar("Value")
BELOW = "/*"
"""End of a pattern that stands for all paths below."""


class PathTable(Generic[Value]):
    """Values by patterns of paths: an exact path, or one with `/*` at the end, which no other one is below."""

    __slots__ = ("_below", "by_pattern")

    def __init__(self, by_pattern: Mapping[str, Value]) -> None:
        self.by_pattern = by_pattern
        self._below = tuple(
            (pattern.removesuffix("*"), value) for pattern, value in by_pattern.items() if pattern.endswith(BELOW)
        )

    def find(self, path: str) -> Value | None:
        """Return what is at a path, which has no query."""
        found = self.by_pattern.get(path)
        if found is not None or not self._below:
            return found
        return next((value for prefix, value in self._below if path.startswith(prefix)), None)
