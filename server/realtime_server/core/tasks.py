"""Background tasks: their owners, and the handling of failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

T = TypeVar("T")


def has_failed(task: asyncio.Task[None]) -> bool:
    """Return True when a task ended with an exception, and report it to the event loop's exception handler."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        context = {"message": f"{task.get_name()} failed", "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)
    return error is not None


def run_now(coroutine: Coroutine[object, None, T]) -> T:
    """Run a coroutine that never suspends and return its result, without the cost of a task.

    Raises what the coroutine raises, and RuntimeError when it suspends after all; it is then closed.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine that was to be done at once waits")


class TaskGroup:
    """Owner of tasks; `on_failure` is called when one has failed."""

    def __init__(self, on_failure: Callable[[], None]) -> None:
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Run `work` in a task of this group, and return the task."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    async def cancel(self) -> None:
        """Cancel all tasks and wait for them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if has_failed(task):
            self._on_failure()
