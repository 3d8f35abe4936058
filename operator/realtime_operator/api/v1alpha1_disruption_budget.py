"""The part of the spec that becomes the PodDisruptionBudget."""

from __future__ import annotations

from typing import Literal

from realtime_operator.api.base import Model, rule
from realtime_operator.api.fields import Share


class DisruptionBudget(Model):
    """Limit on the servers that evictions, like those of a node drain, may take away at once."""

    mode: Literal["Enabled", "Disabled"] = "Enabled"
    """Existence of a PodDisruptionBudget. `Disabled` leaves evictions unlimited, or limited by one of yours."""
    max_unavailable: Share | None = None
    """Number or percentage of servers that may be unavailable while one is evicted. Defaults to
    `rollout.maxUnavailable`, and to 1 where that is 0. With 0, no server can be evicted."""
    min_available: Share | None = None
    """Number or percentage of servers that must stay available, instead of `maxUnavailable`. A number that is not
    below that of the servers blocks every eviction."""
    unhealthy_pod_eviction_policy: Literal["AlwaysAllow", "IfHealthyBudget"] = "AlwaysAllow"
    """Eviction of servers that are not ready. `AlwaysAllow`: at any time, as they serve nobody. `IfHealthyBudget`: only
    while enough servers are available."""

    @rule(
        "!has(self.maxUnavailable) || !has(self.minAvailable)",
        "set maxUnavailable or minAvailable, not both",
        field="minAvailable",
    )
    def _has_one_limit(self) -> bool:
        return self.max_unavailable is None or self.min_available is None
