"""State of one cluster between two reconciles, which a successor can do without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_status import RealtimeClusterStatus
from realtime_operator.planning.canary.span import Span
from realtime_operator.planning.model.plan import Action, EmitEvent, EventType, Failure, FailureKind, SetStatus
from realtime_operator.planning.model.reasons import Reason
from realtime_operator.reconciling.refusals import Refusals


@dataclass(slots=True)
class ClusterMemory:
    """Memory of one cluster.

    `contact_since` is since when it has been observed without interruption. `unwritten` is a status that the platform
    refused, `status_refused` the reason: the next reconcile starts from it, so that nothing is reported twice and no
    brake is forgotten. `span` is what the servers have counted in the step of a canary.
    """

    contact_since: datetime | None = None
    refusals: Refusals = field(default_factory=Refusals)
    unwritten: JsonObject | None = None
    status_refused: str | None = None
    span: Span | None = None

    def with_status(self, cluster: RealtimeCluster) -> RealtimeCluster:
        """Return the cluster with the last decided status, written or not."""
        if self.unwritten is None:
            return cluster
        return cluster.model_copy(update={"status": RealtimeClusterStatus.from_object(self.unwritten)})

    def with_unwritten(self, reports: Sequence[Action]) -> tuple[Action, ...]:
        """Return the reports, with the unwritten status unless they have a newer one."""
        if self.unwritten is None or any(isinstance(action, SetStatus) for action in reports):
            return tuple(reports)
        return (SetStatus(self.unwritten), *reports)

    def note_written(self, reports: Sequence[Action], failures: Sequence[Failure]) -> EmitEvent | None:
        """Remember a refused status, forget a written one; return an Event when refusals start."""
        statuses = [action for action in reports if isinstance(action, SetStatus)]
        refused = [f for f in failures if isinstance(f.action, SetStatus) and f.kind is not FailureKind.OUTDATED]
        if not statuses:
            return None
        if not refused:
            self.unwritten = self.status_refused = None
            return None
        is_news = self.status_refused is None
        self.unwritten, self.status_refused = statuses[0].status, refused[0].message
        if not is_news:
            return None
        return EmitEvent(
            EventType.WARNING, Reason.WRITE_REFUSED, f"the API server refused the status: {self.status_refused}"
        )
