"""The model of moving connections with canaries: the spec has steps and gates, and revisions may refuse all clients.

The operator remembers its status, written and read back, and in its memory the span of the gates, which is lost when it
is killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import dig
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import with_canary_traffic
from realtime_operator.builders.services.route import build_route
from realtime_operator.planning.canary.record import read_canary, write_canary
from realtime_operator.planning.canary.span import Span
from realtime_operator.planning.canary.steps import Canary, Phase
from realtime_operator.planning.decisions.canary import decide_canary, policy_of, rolled_back
from realtime_operator.planning.decisions.moves import Moves, next_current
from realtime_operator.planning.decisions.traffic import Division, decide_traffic, observed_percent, observed_weights
from realtime_operator.planning.model.plan import Action, ProbeServer
from realtime_operator.planning.model.totals import CONNECTS, CONNECTS_FAILED, Totals
from realtime_operator.planning.model.world import ObjectKey, ProbeReport, Server, World, object_key
from realtime_operator.planning.moving.drains import any_ends
from realtime_operator.planning.moving.fleet import Fleet, ReplicaSet
from realtime_operator.planning.moving.progress import Progress, next_progress
from realtime_operator.planning.status.prior_status import PriorStatus
from tests.unit.realtime_operator.planning.moving_world import Host, MovingWorld, at

REFUSED = "100"
"""Code with which a revision that refuses clients does so."""
PROGRESS_SECONDS = 60
METADATA: JsonObject = {"name": "main", "namespace": "test", "uid": "uid-1", "generation": 1}


@dataclass
class CanaryWorld(MovingWorld):
    """A cluster whose revisions are tried in steps. `canary_spec` is `spec.rollout.canary`."""

    canary_spec: JsonObject = field(default_factory=dict)
    refusing: set[str] = field(default_factory=set)
    """Revisions that start, and refuse all clients."""
    span: Span | None = None
    """What the operator remembers of the gates."""
    canary: Canary | None = None
    """The decision of the last reconcile."""
    fleet: Fleet | None = None
    """What the last reconcile has seen, with the limits of the canary."""
    failures: list[str] = field(default_factory=list)
    """What paused or rolled back canaries, in order."""
    objects: dict[ObjectKey, JsonObject] = field(default_factory=dict)
    """The HTTPRoute, and the Services between which it divides new connections."""
    _seen_objects: Mapping[ObjectKey, JsonObject] = field(default_factory=dict)
    _cluster: tuple[object, RealtimeCluster] | None = None

    @property
    def is_bad(self) -> bool:
        """Return True when the revision of the spec does not start, or refuses all clients."""
        return self.target in self.broken | self.refusing

    @property
    def phase(self) -> Phase | None:
        """Return the phase of the canary; None without one."""
        return None if self.canary is None else self.canary.state.phase

    @property
    def fewest(self) -> int:
        """Number of servers that must serve at least."""
        return self.desired - self.policy.max_unavailable

    def is_settled(self) -> bool:
        """Return True when the wanted servers serve all clients: those of before after a rollback."""
        target = self.target if self.fleet is None else self.fleet.target
        return (
            not self.clients.count
            and len(self.hosts) == self.desired
            and all(host.revision == target and host.serving and host.ready(self.now) for host in self.hosts)
            and self.phase in {None, Phase.ROLLED_BACK}
            and self.weights.keys() <= {naming.client_service("main")}
        )

    @property
    def weights(self) -> Mapping[str, int]:
        """Return the weights of the route by the Service's name; nothing without a route."""
        return observed_weights("main", World(self.objects, ()))

    @property
    def percent(self) -> int | None:
        """Return the percentage that the route gives to the tried revision; None while it does not divide."""
        return observed_percent("main", World(self.objects, ()))

    @property
    def has_reconciled(self) -> bool:
        """Return True when the operator has seen, and could change, everything in the last second."""
        return not self.paused and self.now > max(self.stale_until, self.away_until)

    def second(self) -> None:
        """Let a second pass; an operator that does not run forgets what it has in memory."""
        if self.now < self.away_until:
            self.span = None
        for host in self.hosts:
            if host.revision in self.refusing:
                host.refuses_until = self.now + 1
        super().second()
        if self.now < self.away_until:
            self.span = None

    def _fleet(self, world: World) -> Fleet:
        cluster, prior = self.spec(), self.status
        back = rolled_back(cluster, prior)
        target = self.target if back is None else back.current
        sets = {revision: ReplicaSet(revision, revision, count) for revision, count in self.replicas.items()}
        fleet = Fleet(target, self.desired, sets, tuple(self._with_counts(server) for server in world.servers))
        self.canary = decide_canary(cluster, world, fleet, prior, at(self.now), self.span, paused=self.paused)
        self.fleet = replace(fleet, limits=None if self.canary is None else self.canary.limits)
        return self.fleet

    def _objects(self) -> Mapping[ObjectKey, JsonObject]:
        if self.now >= self.stale_until:
            self._seen_objects = dict(self.objects)
        return self._seen_objects

    def _divide(self, fleet: Fleet, moves: Moves) -> None:
        """Write what the division of new connections needs, as the operator does before it quiesces servers."""
        cluster, world = self.spec(), World(self._seen_objects, ())
        state = None if self.canary is None else self.canary.state
        current = self.status.current_revision or fleet.target
        known_since = at(self.now) - timedelta(seconds=self.policy.drain.settle_seconds)
        division = Division("main", current, state, fleet, moves.step, known_since)
        traffic = decide_traffic(policy_of(cluster, world), division, world)
        route = build_route(cluster)
        manifests = () if route is None else (route,)
        for manifest in manifests if traffic is None else with_canary_traffic(cluster, manifests, traffic):
            self._write(manifest)

    def _write(self, manifest: JsonObject) -> None:
        """Store an object. The selector of a Service that gets connections must not change."""
        key = object_key(manifest)
        if self.weights.get(key.name, 0) > 0 and key in self.objects and key.kind == "Service":
            assert dig(self.objects[key], "spec", "selector") == dig(manifest, "spec", "selector")
        self.objects[key] = manifest

    def _actions(self, moves: Moves) -> tuple[Action, ...]:
        assert self.fleet is not None
        self._divide(self.fleet, moves)
        probes = () if self.canary is None else self.canary.probes
        return (*moves.step.actions, *(ProbeServer(server.name, server.admin) for server in probes))

    def _next_status(self, fleet: Fleet, moves: Moves) -> PriorStatus:
        canary, prior = self.canary, self.status
        self.span = None if canary is None else canary.span
        if canary is not None and canary.state.failed is not None and prior.canary != canary.state:
            self.failures.append(canary.state.message)
        waits = self.paused or self.phase in {Phase.HOLDING, Phase.PAUSED}
        progress = next_progress(
            fleet, moves.step.retiring, self.policy.drain, PROGRESS_SECONDS, prior.progress, at(self.now)
        )
        return replace(
            super()._next_status(fleet, moves),
            budget=moves.budget if moves.step.retiring or moves.budget.owed > 0 or any_ends(fleet) else None,
            canary=None if canary is None else read_canary({"canary": write_canary(canary.state)}),
            current_revision=next_current(fleet, moves.step, prior.current_revision),
            target_revision=fleet.target,
            progress=Progress() if waits else replace(progress, deadline_seconds=0),
        )

    def _with_counts(self, server: Server) -> Server:
        """Return an observed server with the counts of now; they say nothing while it does not answer."""
        host = next((host for host in self.hosts if host.name == server.name), None)
        if host is None or server.report is None:
            return server
        counts = {(CONNECTS, ""): host.accepted_in_all, (CONNECTS_FAILED, REFUSED): host.refused_in_all}
        report = replace(server.report, totals=Totals(float(host.created), counts), probe=self._probe(host))
        return replace(server, report=report)

    def _probe(self, host: Host) -> ProbeReport | None:
        if host.probed is None:
            return None
        code = REFUSED if host.probed < host.refuses_until else ""
        return ProbeReport(code, has_token=True, age_seconds=self.now - host.probed)

    def spec(self) -> RealtimeCluster:
        """Return the stored object, parsed once for each spec."""
        key = (self.target, self.desired, repr(self.canary_spec), self.policy.drain)
        if self._cluster is None or self._cluster[0] != key:
            rollout: dict[str, JsonValue] = {
                "progressDeadline": f"{PROGRESS_SECONDS}s",
                "drain": {"timeout": f"{PROGRESS_SECONDS}s", "settle": f"{self.policy.drain.settle_seconds:.0f}s"},
                **({"canary": self.canary_spec} if self.canary_spec else {}),
            }
            spec: JsonObject = {
                "replicas": self.desired,
                "rollout": rollout,
                "endpoint": {"gateway": {"parentRefs": [{"name": "public"}]}},
                "server": {"limits": {"messagesPerSecond": 100 + int(self.target.removeprefix("r"))}},
            }
            self._cluster = key, RealtimeCluster.from_object({"metadata": METADATA, "spec": spec, "status": None})
        return self._cluster[1]
