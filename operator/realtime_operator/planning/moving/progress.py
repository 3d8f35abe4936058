"""Progress of a change: its last step, and the deadline for the next one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from realtime_operator.planning.model.world import Server
from realtime_operator.planning.moving.budget import DrainPolicy
from realtime_operator.planning.moving.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Progress:
    """The last step of a change, stored in `.status.progress`. `at` is None when nothing changes."""

    step: str = ""
    at: datetime | None = None
    deadline_seconds: float = 0.0

    def is_overdue(self, now: datetime) -> bool:
        """Return True when there was no step within the deadline."""
        return self.at is not None and now - self.at > timedelta(seconds=self.deadline_seconds)


def next_progress(
    fleet: Fleet,
    retiring: Sequence[Server],
    drain: DrainPolicy,
    deadline_seconds: float,
    before: Progress,
    now: datetime,
) -> Progress:
    """Return the progress: a step is a server that became available, was quiesced, or is gone.

    While a drain runs, its timeout (`spec.rollout.drain.timeout`) is added to the deadline.
    """
    updated = sum(1 for server in fleet.available if server.revision == fleet.target)
    old = sum(1 for server in fleet.live if server.revision != fleet.target)
    if updated >= fleet.desired and not retiring and not fleet.old_replicas:
        return Progress()
    leaving = sum(1 for server in retiring if not server.serving)
    step = f"{updated} of {fleet.desired} updated, {old} old, {len(fleet.available)} available, {leaving} leaving"
    drain_seconds = drain.settle_seconds + drain.timeout_seconds if leaving else 0.0
    at = before.at if before.at is not None and before.step == step else now
    return Progress(step, at, deadline_seconds + drain_seconds)
