"""What the decisions are told by the operator's own configuration."""

from __future__ import annotations

from dataclasses import dataclass

from realtime_operator.builders import BuildSettings


@dataclass(frozen=True, slots=True)
class PlannerSettings:
    """All times in seconds.

    `poll_seconds`: until the next look while something moves. `autoscaling_poll_seconds`: between two measurements of a
    settled cluster that scales by itself. `unready_grace_seconds`: how long a server may take to get ready or to answer
    before the cluster counts as degraded. `paused` says why the whole operator moves nothing; None: it does its work.
    """

    build: BuildSettings
    poll_seconds: float = 1.0
    autoscaling_poll_seconds: float = 5.0
    unready_grace_seconds: float = 60.0
    paused: str | None = None
