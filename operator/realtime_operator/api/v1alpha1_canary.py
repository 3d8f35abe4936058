"""Models of the part of the spec that tries a new revision on some servers before all are replaced."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from realtime_operator.api import duration
from realtime_operator.api.base import Model, rule
from realtime_operator.api.fields import Duration, Percentage, PositivePercentage
from realtime_operator.api.lists import ATOMIC

DEFAULT_HOLD = "2m"


class CanaryStep(Model):
    """Step of a canary: a part of the servers runs the new revision for a time."""

    share: PositivePercentage
    """Servers of the new revision, as a percentage of the wanted number, rounded up. They replace as many old ones, of
    which at least one stays until the last step has passed."""
    hold: Duration = DEFAULT_HOLD
    """Time for which the new servers must serve with all gates good before the next step."""

    @property
    def part(self) -> float:
        """`share` as a number from 0 to 1."""
        return int(self.share.removesuffix("%")) / 100

    @property
    def hold_seconds(self) -> int:
        """`hold` in seconds."""
        return duration.seconds(self.hold)


class Gates(Model):
    """Limits of the gates: how much worse than the current servers the new ones may be in the same time."""

    minimum_events: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Events at the new servers below which a part of them is not judged. With fewer connects a probe decides: a client
    of the server's own."""
    tolerance: Percentage = "5%"
    """Part of connects, recoveries, commands and connections that may fail beyond the part that fails at the current
    servers, for each code."""
    connect_time: Duration = "1s"
    """Time of 99% of the connects that is always good. Longer ones may be up to 2.5 times as long as at the current
    servers."""
    delivery_time: Duration = "1s"
    """Time of 99% of the servers' test messages through the backplane that is always good. Longer ones may be up to 2.5
    times as long as at the current servers."""


class Canary(Model):
    """Steps in which a new revision is tried, and what ends them."""

    steps: Annotated[tuple[CanaryStep, ...], Field(min_length=1, max_length=10), ATOMIC]
    """Steps, one after another. After the last one all other servers are replaced without a further hold."""
    traffic: Literal["Service", "Route"] = "Service"
    """Division of new connections between both revisions. `Service`: among all servers alike, so that a revision gets
    about the share of its servers. `Route`: the HTTPRoute of `endpoint.gateway` gives the new revision exactly the
    share of the step, and each revision has the servers for its part: at most one more than the wanted number. Needs
    `endpoint.gateway` without `endpoint.tls`."""
    gates: Gates = Gates()
    """Limits of the gates that are judged during each step."""
    on_failure: Literal["Pause", "Rollback"] = "Rollback"
    """Effect of a failed gate. `Rollback`: the servers go back to the current revision, in the way they came, and the
    failed one is not tried again until the spec changes. `Pause`: both revisions keep the servers that they have."""
    resumed_at: Annotated[str, Field(max_length=64)] | None = None
    """Time at which a failure was forgiven; any other value than at the failure tries again what has failed.
    `realtime rollout resume` sets it."""

    @rule(
        "!self.steps.all(s, s.share.matches('^[0-9]{1,3}%$'))"
        " || self.steps.map(s, int(s.share.replace('%', ''))).isSorted()",
        "the shares must not descend: each step has at least that of the one before, like 10%, 50%",
        field="steps",
    )
    def _steps_ascend(self) -> bool:
        parts = [step.part for step in self.steps]
        return parts == sorted(parts)
