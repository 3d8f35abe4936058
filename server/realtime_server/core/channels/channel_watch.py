"""Events for the backend about channels that become occupied or vacant in the cluster."""

from __future__ import annotations

import contextlib

from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.ports.backend import Backend, ChannelOccupied, ChannelVacated
from realtime_server.core.ports.backplane import ChannelOccupancy


class ChannelWatch:
    """Reporter of this worker's channels. Never raises: `catch_up` repeats what the backplane did not accept."""

    def __init__(self, occupancy: ChannelOccupancy, backend: Backend) -> None:
        self._occupancy = occupancy
        self._backend = backend

    async def occupied(self, channel: str) -> None:
        """Record that a channel has its first subscriber on this worker."""
        with contextlib.suppress(BackplaneError):
            if await self._occupancy.note_occupied(channel):
                self._backend.emit(ChannelOccupied(channel))

    async def vacated(self, channel: str) -> None:
        """Record that a channel's last subscriber on this worker has left."""
        with contextlib.suppress(BackplaneError):
            if await self._occupancy.note_vacated(channel):
                self._backend.emit(ChannelVacated(channel))

    async def catch_up(self) -> None:
        """Report changes that were missed, as when a server was killed; call it every few seconds."""
        with contextlib.suppress(BackplaneError):
            missed = await self._occupancy.missed_changes()
            for channel in missed.occupied:
                self._backend.emit(ChannelOccupied(channel))
            for channel in missed.vacated:
                self._backend.emit(ChannelVacated(channel))
