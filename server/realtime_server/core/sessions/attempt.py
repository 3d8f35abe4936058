"""Subscription in progress, which can be revoked before it begins."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from realtime_server.codes import PERMISSION_DENIED
from realtime_server.core.model.errors import CommandError


class Attempt:
    """Context in which one task makes a subscription.

    `revoke` cancels what the task awaits within the context, which then raises CommandError PERMISSION_DENIED. A
    cancellation of the task by others passes through, as with `asyncio.timeout`.
    """

    __slots__ = ("_attempts", "_task", "channel", "revoked")

    def __init__(self, attempts: list[Attempt], channel: str) -> None:
        self._attempts = attempts
        self._task: asyncio.Task[object] | None = None
        self.channel = channel
        self.revoked = False

    def __enter__(self) -> Self:
        """Register the attempt, so that it can be revoked."""
        self._task = asyncio.current_task()
        self._attempts.append(self)
        return self

    def revoke(self) -> None:
        """Cancel the attempt. Idempotent."""
        if not self.revoked and self._task is not None:
            self.revoked = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Convert a cancellation by `revoke` into CommandError PERMISSION_DENIED."""
        self._attempts.remove(self)
        if self.revoked and self._task is not None:
            cancelled_by_others = self._task.uncancel() > 0
            if not cancelled_by_others:
                raise CommandError(PERMISSION_DENIED, "it was revoked meanwhile") from error
