"""Epochs of channels with subscribers here, for messages that name their whole position."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


class Epochs:
    """Epochs by channel; `lookup` returns that of a channel that has subscribers already, "" for any other."""

    def __init__(self, lookup: Callable[[str], str]) -> None:
        self._lookup = lookup
        self._joining: dict[str, str] = {}

    def of(self, channel: str) -> str:
        """Return the epoch of a channel, "" for one without history."""
        return self._lookup(channel) or self._joining.get(channel, "")

    @contextlib.contextmanager
    def joining(self, channel: str, epoch: str) -> Iterator[None]:
        """Return a context, without an await in it, in which a subscription begins at a position of this epoch."""
        self._joining[channel] = epoch
        try:
            yield
        finally:
            del self._joining[channel]
