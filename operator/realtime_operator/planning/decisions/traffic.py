"""Division of new connections between the two revisions of a canary, by weights of the cluster's HTTPRoute. Pure.

The current revision and the one that is tried have a Service each. A weight is only given to a Service that was
observed with the right selector, and that has had an endpoint for some time; a selector is only changed while the
observed route gives the Service no weight. Where the current revision could not take its part, the route leads to the
client Service, as without a canary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from realtime_operator import naming
from realtime_operator.api.document import dig, object_at, objects_at, text_at
from realtime_operator.builders import CanaryTraffic
from realtime_operator.builders.services.route import API_VERSION as GATEWAY_API
from realtime_operator.planning.canary.steps import CanaryPolicy, CanaryState, Phase
from realtime_operator.planning.model.plan import Quiesce
from realtime_operator.planning.model.world import ObjectKey, World
from realtime_operator.planning.moving.fleet import Fleet
from realtime_operator.planning.moving.rollout import RolloutStep

OVERLOAD = 2
"""Times its usual part of the new connections that a server of the current revision may get."""


@dataclass(frozen=True, slots=True)
class Division:
    """What a division of new connections follows from.

    `state` is that of the canary, None without one; `current` the revision that served last as a whole. `step` is what
    is done to the servers now. Gateways know a server that has been ready since `known_since`.
    """

    cluster: str
    current: str
    state: CanaryState | None
    fleet: Fleet
    step: RolloutStep
    known_since: datetime


def decide_traffic(policy: CanaryPolicy | None, division: Division, world: World) -> CanaryTraffic | None:
    """Return what the two Services select and the route is to divide; None where the spec wants no such division."""
    if policy is None or not policy.by_route:
        return None
    name, current = division.cluster, division.current
    tried = current if division.state is None else division.state.revision
    weights = observed_weights(name, world)
    services = (naming.current_service(name), naming.canary_service(name))
    there = [_selected(service, world) for service in services]
    wanted = [
        live if weights.get(service, 0) > 0 and live else revision
        for service, live, revision in zip(services, there, (current, tried), strict=True)
    ]
    usable = {live for live, revision in zip(there, (current, tried), strict=True) if live == revision}
    percent = _percent(policy, division, _reached(division, usable))
    return CanaryTraffic(wanted[0], wanted[1], percent)


def observed_weights(cluster: str, world: World) -> Mapping[str, int]:
    """Return the weights of the observed HTTPRoute by the Service's name; 1 where none is written."""
    live = world.objects.get(ObjectKey(GATEWAY_API, "HTTPRoute", naming.route(cluster)), {})
    weights: dict[str, int] = {}
    for rule in objects_at(live, "spec", "rules"):
        for backend in objects_at(rule, "backendRefs"):
            weight = dig(backend, "weight")
            weights[text_at(backend, "name")] = weight if isinstance(weight, int) else 1
    return weights


def observed_percent(cluster: str, world: World) -> int | None:
    """Return the percentage of new connections that the observed route gives to the revision that is tried.

    None while it does not divide them.
    """
    weights = observed_weights(cluster, world)
    pair = [weights.get(service(cluster), 0) for service in (naming.current_service, naming.canary_service)]
    return round(100 * pair[1] / sum(pair)) if sum(pair) > 0 else None


def _selected(service: str, world: World) -> str:
    """Return the revision that an observed Service selects; empty when it selects none, or is not there."""
    live = world.objects.get(ObjectKey("v1", "Service", service), {})
    return text_at(object_at(live, "spec", "selector"), naming.LABEL_REVISION)


def _reached(division: Division, usable: Collection[str]) -> Mapping[str, int]:
    """Return the number of servers by revision that get connections through a usable Service.

    Those that have just become ready do not count, as gateways learn of them later; nor do those that are quiesced now.
    """
    leaving = {action.server for action in division.step.actions if isinstance(action, Quiesce)}
    return Counter(
        server.revision
        for server in division.fleet.available
        if server.revision in usable
        and server.name not in leaving
        and (server.ready_since is None or server.ready_since <= division.known_since)
    )


def _percent(policy: CanaryPolicy, division: Division, reached: Mapping[str, int]) -> int | None:
    """Return the percentage for the revision that is tried; None to divide among all servers alike.

    Each of its servers gets at most its usual part, so that the percentage grows with them up to the share. It is 0
    from the failure of a gate on, and while a revision that is not the target is replaced by the current one.
    """
    state, fleet, current, percent = division.state, division.fleet, division.current, 0
    if state is not None and state.phase is not Phase.ROLLED_BACK:
        if state.phase is Phase.PASSED:
            return None
        share = policy.steps[min(state.step, len(policy.steps)) - 1].percent
        percent = min(share, 100 * reached.get(state.revision, 0) // max(1, fleet.desired))
    elif fleet.live_of(current) == len(fleet.live) or (state is None and fleet.target != current):
        return None
    needed = (100 - percent) * fleet.desired
    return None if OVERLOAD * 100 * reached.get(current, 0) < needed else percent
