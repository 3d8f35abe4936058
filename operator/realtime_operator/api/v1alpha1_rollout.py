"""Models of the part of the spec that says how servers are replaced, and how many there are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from realtime_operator.api import duration
from realtime_operator.api.base import Model, rule
from realtime_operator.api.fields import KEEPS_REVISION, Duration, Rate, Share
from realtime_operator.api.v1alpha1_canary import Canary


class DrainSpec(Model):
    """Settings of a drain: moving a server's connections to others before it is removed."""

    connections_per_second: Annotated[Rate, KEEPS_REVISION] = "Auto"
    """Rate at which connections are moved, in connections per second for the whole cluster. `Auto` derives it from the
    measured cost of accepting a connection."""
    timeout: Duration = "10m"
    """Longest time of a drain. After it the server is removed even if it has connections left."""
    settle: Duration = "5s"
    """Time without new connections after which the drain of a quiesced server begins."""

    @property
    def fixed_rate(self) -> float | None:
        """`connections_per_second`; None for `Auto`."""
        rate = self.connections_per_second
        return float(rate) if isinstance(rate, int) else None

    @property
    def timeout_seconds(self) -> int:
        """`timeout` in seconds."""
        return duration.seconds(self.timeout)

    @property
    def settle_seconds(self) -> int:
        """`settle` in seconds."""
        return duration.seconds(self.settle)


class Rollout(Model):
    """Settings of rollouts: how servers are replaced."""

    max_surge: Annotated[Share, KEEPS_REVISION] = "25%"
    """Servers that a rollout may add above the wanted number: a number, or a percentage of it, rounded up."""
    max_unavailable: Annotated[Share, KEEPS_REVISION] = 0
    """Servers that may be missing from the wanted number in a rollout: a number, or a percentage of it, rounded
    down."""
    drain: DrainSpec = DrainSpec()
    """Settings of drains: how connections are moved."""
    progress_deadline: Annotated[Duration, KEEPS_REVISION] = "10m"
    """Time from one step of a change to the next after which it is reported as stuck. The timeout of the drain is
    added."""
    operator_defaults: Annotated[Literal["Keep", "Follow"], KEEPS_REVISION] = "Keep"
    """Reaction to an upgrade of the operator that brings other defaults, like a newer image. `Keep`: running servers
    are kept until the next change of the spec. `Follow`: they are replaced in a rollout, one cluster after another,
    which begins in one of `maintenance.windows`. The managed Redis is always kept."""
    canary: Annotated[Canary | None, KEEPS_REVISION] = None
    """Steps in which a new revision is tried on some servers, and compared with the current one, before all are
    replaced. Without it all servers are replaced one after another."""

    @property
    def progress_deadline_seconds(self) -> int:
        """`progress_deadline` in seconds."""
        return duration.seconds(self.progress_deadline)

    @rule(
        "(self.maxSurge != 0 && self.maxSurge != '0%') || (self.maxUnavailable != 0 && self.maxUnavailable != '0%')",
        "maxSurge and maxUnavailable must not both be zero: no server could ever be replaced",
        field="maxSurge",
    )
    def _something_may_move(self) -> bool:
        return self.max_surge not in {0, "0%"} or self.max_unavailable not in {0, "0%"}

    @rule(
        "!has(self.canary) || !has(self.canary.traffic) || self.canary.traffic != 'Route'"
        " || (self.maxSurge != 0 && self.maxSurge != '0%')",
        "maxSurge must be above zero for canary.traffic Route: both revisions together may need one server more",
        field="maxSurge",
    )
    def _route_has_a_spare_server(self) -> bool:
        return self.canary is None or self.canary.traffic != "Route" or self.max_surge not in {0, "0%"}


class Autoscaling(Model):
    """Autoscaling of the number of servers by the number of connections. `replicas` is ignored."""

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = 2
    """Lower bound of the number of servers."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)]
    """Upper bound of the number of servers."""
    connections_per_replica: Annotated[int, Field(ge=1, le=1_000_000)]
    """Target of the average number of connections per server; more add a server."""
    scale_down_stabilization: Duration = "5m"
    """Time for which fewer servers must have been enough before servers are removed."""

    @rule(
        "self.maxReplicas >= self.minReplicas",
        "maxReplicas must not be below minReplicas (2 when it is absent)",
        field="maxReplicas",
    )
    def _bounds_are_ordered(self) -> bool:
        return self.max_replicas >= self.min_replicas

    @property
    def scale_down_stabilization_seconds(self) -> int:
        """`scale_down_stabilization` in seconds."""
        return duration.seconds(self.scale_down_stabilization)
