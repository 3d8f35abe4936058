"""Tells the backend which channels are occupied in the whole cluster."""

from __future__ import annotations

import contextlib

from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.ports.backend import Backend, ChannelOccupied, ChannelVacated
from realtime_server.core.ports.backplane import ChannelOccupancy


class ChannelWatch:
    """Follows the channels of this worker. Never raises: what the backplane did not take is caught up with."""

    def __init__(self, occupancy: ChannelOccupancy, backend: Backend) -> None:
        self._occupancy = occupancy
        self._backend = backend

    async def occupied(self, channel: str) -> None:
        """Note the first subscriber of this worker in a channel."""
        with contextlib.suppress(BackplaneError):
            if await self._occupancy.note_occupied(channel):
                self._backend.emit(ChannelOccupied(channel))

    async def vacated(self, channel: str) -> None:
        """Note that the last one has left."""
        with contextlib.suppress(BackplaneError):
            if await self._occupancy.note_vacated(channel):
                self._backend.emit(ChannelVacated(channel))

    async def catch_up(self) -> None:
        """Tell what has changed unnoticed, as when a server was killed; to be called every few seconds."""
        with contextlib.suppress(BackplaneError):
            missed = await self._occupancy.missed_changes()
            for channel in missed.occupied:
                self._backend.emit(ChannelOccupied(channel))
            for channel in missed.vacated:
                self._backend.emit(ChannelVacated(channel))
