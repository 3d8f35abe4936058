"""Output of `up` and `demo` while they run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from rich.console import RenderableType
from rich.live import Live

from realtime_operator.cli.output import messages
from realtime_operator.cli.views import change_lines, consequences
from realtime_operator.planning.forecast import Forecast
from realtime_operator.platforms.local.object_store import Event

REFRESH_SECONDS = 0.25


class Screen:
    """Prints events as lines with the seconds since the start; on a terminal above a live view."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._stopping = 0
        self.console = messages()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @contextlib.asynccontextmanager
    async def live(self, render: Callable[[], RenderableType]) -> AsyncIterator[None]:
        """Show `render`'s result at the bottom of a terminal while the body runs; without a terminal nothing."""
        if not self.console.is_terminal:
            yield
            return

        async def refresh(live: Live) -> None:
            while True:
                live.update(render(), refresh=True)
                await asyncio.sleep(REFRESH_SECONDS)

        with Live(console=self.console, auto_refresh=False, transient=True) as live:
            refreshing = asyncio.create_task(refresh(live), name="live-view")
            try:
                yield
            finally:
                refreshing.cancel()
                await asyncio.gather(refreshing, return_exceptions=True)

    def say(self, text: str, style: str = "") -> None:
        """Print a line."""
        self.console.print(f"[{self.seconds:6.1f} s] {text}", style=style, soft_wrap=True)

    def event(self, event: Event) -> None:
        """Print an Event of the cluster."""
        self.say(f"{event.reason}: {event.message}", "yellow" if event.type == "Warning" else "")

    def change(self, expected: Forecast) -> None:
        """Print the changes in the file and their consequences."""
        for line in change_lines(expected):
            self.say(line, "cyan")
        self.say("; ".join(consequences(expected)) if expected.changes else "the file means the same as before", "cyan")

    def refusal(self, reason: str) -> None:
        """Print why the file is refused."""
        self.say(f"{reason}\nnothing changes until the file is corrected", "red")

    def stopping(self, servers: int) -> None:
        """Print the number of servers that are still draining, when it has changed."""
        if servers != self._stopping:
            self._stopping = servers
            self.say(f"{servers} {'server is' if servers == 1 else 'servers are'} still draining")

    def notice(self, notice: str) -> None:
        """Print a notice for the user."""
        self.say(notice, "yellow")
