"""Occupied channels of one process."""

from __future__ import annotations

from realtime_server.core.ports.backplane import OccupancyChanges


class MemoryOccupancy:
    """Occupancy of channels within one process: implements ChannelOccupancy."""

    def __init__(self) -> None:
        self._occupied: set[str] = set()

    async def note_occupied(self, channel: str) -> bool:
        """See ChannelOccupancy."""
        known = channel in self._occupied
        self._occupied.add(channel)
        return not known

    async def note_vacated(self, channel: str) -> bool:
        """See ChannelOccupancy."""
        known = channel in self._occupied
        self._occupied.discard(channel)
        return known

    async def missed_changes(self) -> OccupancyChanges:
        """Return no changes: there are no other workers."""
        return OccupancyChanges()
