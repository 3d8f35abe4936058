"""What becomes of a background task that fails."""

from __future__ import annotations

import asyncio


def has_failed(task: asyncio.Task[None]) -> bool:
    """Whether a task ended by an error that nobody foresaw; it is reported to the event loop's exception handler."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        context = {"message": f"{task.get_name()} failed", "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)
    return error is not None
