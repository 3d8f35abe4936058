"""Facts: the observed world and the decisions about it, from which conditions and status are derived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from realtime_operator.api.base import JsonObject
from realtime_operator.planning.canary.gates import Gate
from realtime_operator.planning.canary.steps import Canary, Phase
from realtime_operator.planning.credentials.changes import Credentials
from realtime_operator.planning.endpoint.exposure import Exposure
from realtime_operator.planning.model.plan import Failure
from realtime_operator.planning.moving.brakes import Hold
from realtime_operator.planning.moving.budget import Budget
from realtime_operator.planning.moving.fleet import Fleet
from realtime_operator.planning.moving.progress import Progress
from realtime_operator.planning.moving.rollout import RolloutPolicy, RolloutStep
from realtime_operator.planning.redis.backplane import Backplane
from realtime_operator.planning.redis.change import RedisState
from realtime_operator.planning.scheduling.slots import Slot
from realtime_operator.planning.status.prior_status import PriorStatus


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts by which the conditions are judged.

    `pods_refused` has the messages of ReplicaSets that cannot create pods. `missing_endpoint` says why clients find no
    Service, None when it is there. `missing_credentials` are the keys that the generated Secrets lack, by the Secret's
    name. `operator_paused` says why the operator does nothing, None when it is not paused.
    `budget` is None while no connections are moved or owed.
    `rotation` describes a rotation of credentials; empty when there is none.
    `unreachable` is since when servers have not answered on their admin port, by name. `failures` are the actions of
    this reconcile that were not carried out. `missing_kinds` says what the spec asks for that is not served.
    `prior` is the status until now. `provenance` are the fields of the status about what the target was made of.
    `slot` is the one that a rollout holds or waits for, `maintenance` the field of the status about the windows.
    """

    name: str
    fleet: Fleet
    policy: RolloutPolicy
    step: RolloutStep
    backplane: Backplane
    exposure: Exposure
    redis: RedisState
    credentials: Credentials
    progress: Progress
    current_revision: str | None
    paused: bool
    unready_grace: timedelta
    now: datetime
    budget: Budget | None = None
    canary: Canary | None = None
    hold: Hold | None = None
    operator_paused: str | None = None
    pods_refused: tuple[str, ...] = ()
    unreachable: dict[str, datetime] = field(default_factory=dict)
    missing_endpoint: str | None = None
    missing_credentials: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    missing_kinds: tuple[str, ...] = ()
    rotation: str = ""
    prior: PriorStatus = field(default_factory=PriorStatus)
    provenance: JsonObject = field(default_factory=dict)
    slot: Slot | None = None
    maintenance: JsonObject | None = None

    @property
    def is_paused(self) -> bool:
        """True when nothing may be changed, because of the spec or of the operator's pause."""
        return self.paused or self.operator_paused is not None

    @property
    def is_rolling(self) -> bool:
        """True while servers are replaced by those of another revision, or are to be."""
        fleet, current = self.fleet, self.current_revision
        old = fleet.old_replicas > 0 or any(server.revision != fleet.target for server in fleet.live)
        return old or current not in {None, fleet.target}

    @property
    def canary_phase(self) -> Phase | None:
        """Phase of the canary; None when there is none."""
        return None if self.canary is None else self.canary.state.phase

    @property
    def gate_failed_now(self) -> Gate | None:
        """Gate that has failed in this reconcile; None when none has."""
        before, state = self.prior.canary, None if self.canary is None else self.canary.state
        known = state is None or (before is not None and before.phase is state.phase)
        return None if known or state is None else state.failed

    @property
    def overdue(self) -> bool:
        """True when there was no progress within the deadline."""
        return self.progress.is_overdue(self.now)

    @property
    def overdue_after(self) -> float:
        """Deadline of progress in seconds."""
        return self.progress.deadline_seconds
