"""observe -> **decide** -> apply: the actions that bring a cluster to its spec.

Pure: equal input gives equal output. Every call starts from the observed state, never from the results of an earlier
call: the successor of an operator that was killed between two actions makes the same decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from realtime_operator import builders, naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at, objects_at, text_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_metadata import CommonMetadata
from realtime_operator.api.validation import validate
from realtime_operator.builders.optional_kinds import is_served, missing_kinds
from realtime_operator.planning.canary.span import Span
from realtime_operator.planning.canary.steps import UNDER_WAY, Canary, Phase
from realtime_operator.planning.credentials.changes import next_credentials
from realtime_operator.planning.credentials.rotation import describe, next_rotation
from realtime_operator.planning.decisions import operator_rollout
from realtime_operator.planning.decisions.canary import decide_canary, policy_of
from realtime_operator.planning.decisions.moves import decide_moves, next_current
from realtime_operator.planning.decisions.operator_rollout import choose_target, slot_of
from realtime_operator.planning.decisions.policies import (
    PlannerSettings,
    autoscaling,
    desired_servers,
    is_paused,
    rollout_policy,
)
from realtime_operator.planning.decisions.traffic import Division, decide_traffic
from realtime_operator.planning.endpoint.exposure import observe_exposure
from realtime_operator.planning.endpoint.service_families import impossible_families
from realtime_operator.planning.model.difference import contains, plan_write, revision_of
from realtime_operator.planning.model.plan import (
    Action,
    CreateObject,
    DeleteObject,
    DeleteServer,
    EnsureSecret,
    ProbeServer,
)
from realtime_operator.planning.model.world import ObjectKey, World, object_key
from realtime_operator.planning.moving import drains
from realtime_operator.planning.moving.autoscale import AutoscaleState
from realtime_operator.planning.moving.fleet import Fleet, read_replica_sets
from realtime_operator.planning.moving.progress import Progress, next_progress
from realtime_operator.planning.redis.backplane import observe_backplane
from realtime_operator.planning.redis.certificate import next_certificate
from realtime_operator.planning.redis.change import change_redis, redis_state
from realtime_operator.planning.redis.mode import is_of_redis, leaves_failover, until_left
from realtime_operator.planning.redis.volumes import impossible_volumes
from realtime_operator.planning.revisions import choice, provenance
from realtime_operator.planning.scheduling import maintenance
from realtime_operator.planning.scheduling.slots import NO_ROLLOUT, OtherClusters, Turn
from realtime_operator.planning.status import subresource
from realtime_operator.planning.status.facts import Facts
from realtime_operator.planning.status.prior_status import PriorStatus, read_status
from realtime_operator.planning.status.report import report_rejection


@dataclass(frozen=True, slots=True)
class Desired:
    """Wanted objects, newly built or kept as they were made. `provenance` is their part of the status.

    `missing_kinds` says which kinds are wanted and not served: no object in `shared` is of them. `certificate` is the
    Secret with the generated certificate of Redis.
    """

    secrets: tuple[builders.SecretTemplate, ...]
    shared: tuple[JsonObject, ...]
    revision: choice.Target
    provenance: JsonObject
    missing_kinds: tuple[str, ...] = ()
    certificate: builders.SecretTemplate | None = None

    def keys(self) -> set[ObjectKey]:
        """Return the keys of all objects that belong to no revision."""
        templates = (*self.secrets, *([] if self.certificate is None else [self.certificate]))
        manifests = (*(template.manifest for template in templates), *self.shared)
        return {object_key(manifest) for manifest in manifests}

    def with_metadata(self, common: CommonMetadata) -> Desired:
        """Return the objects with the labels and annotations that all of them get."""
        return replace(
            self,
            secrets=tuple(_labelled(template, common) for template in self.secrets),
            certificate=None if self.certificate is None else _labelled(self.certificate, common),
            shared=tuple(builders.with_common_metadata(manifest, common) for manifest in self.shared),
            revision=self.revision.with_metadata(common),
        )

    def with_traffic(self, cluster: RealtimeCluster, traffic: builders.CanaryTraffic) -> Desired:
        """Return the objects with those that divide new connections between two revisions."""
        return replace(self, shared=builders.with_canary_traffic(cluster, self.shared, traffic))


def _labelled(template: builders.SecretTemplate, common: CommonMetadata) -> builders.SecretTemplate:
    return replace(template, manifest=builders.with_common_metadata(template.manifest, common))


@dataclass(frozen=True, slots=True)
class Decision:
    """The actions for a cluster, and the input of the report on them.

    `actions` bring it closer to its spec; their failures are passed to `report`. `rejection` reports an invalid spec;
    `facts` are None then. `turn` is about a rollout that the operator would begin by itself. `requeue_after` is the
    number of seconds until the next reconcile, None for the resync.
    """

    actions: tuple[Action, ...] = ()
    rejection: tuple[Action, ...] = ()
    requeue_after: float | None = None
    facts: Facts | None = None
    turn: Turn = NO_ROLLOUT
    scaling: AutoscaleState | None = None

    @property
    def span(self) -> Span | None:
        """Span to pass to the next decision; None when no servers are compared."""
        return None if self.facts is None or self.facts.canary is None else self.facts.canary.span


def reconcile(
    cluster: RealtimeCluster,
    world: World,
    now: datetime,
    settings: PlannerSettings,
    others: Callable[[], OtherClusters] = OtherClusters,
    span: Span | None = None,
) -> Decision:
    """Decide the actions that bring `world` closer to `cluster.spec`; none when they agree.

    An invalid spec changes nothing but the condition Accepted. A cluster that is being deleted gets no actions: its
    children have owner references. `others` returns the other clusters, which a rollout of the operator may have to
    wait for; by default there are none. `span` is that of the decision before, None at the operator's first one.
    """
    if cluster.metadata.deletion_timestamp is not None:
        return Decision()
    prior = read_status(cluster)
    findings = (
        *validate(cluster, world.secrets),
        *builders.check_pods(cluster, settings.build),
        *world.refused,
        *impossible_volumes(cluster, world),
        *impossible_families(cluster, world),
    )
    if findings:
        return Decision(rejection=report_rejection(prior.document, cluster.metadata.generation, findings, now))
    target, turn = choose_target(cluster, world, prior, others, settings, now)
    desired = _desired(cluster, world, target, settings)
    scaling = autoscaling(cluster, prior.autoscaling, world.servers, now)
    fleet = Fleet(
        desired.revision.name, desired_servers(cluster, scaling), read_replica_sets(world.objects), world.servers
    )
    canary = decide_canary(cluster, world, fleet, prior, now, span, paused=is_paused(cluster, settings))
    fleet = replace(fleet, limits=None if canary is None else canary.limits)
    facts = _facts(cluster, world, desired.provenance, fleet, prior, now, settings, canary)
    traffic = decide_traffic(policy_of(cluster, world), _division(facts), world)
    desired = desired if traffic is None else desired.with_traffic(cluster, traffic)
    actions = () if facts.is_paused else _actions(desired, facts, world, _secret_writes(cluster, desired, world, now))
    facts = replace(
        facts,
        missing_endpoint=_missing_endpoint(cluster, world, actions),
        missing_credentials=_missing_credentials(desired.secrets, world),
        missing_kinds=desired.missing_kinds,
        slot=slot_of(facts, turn),
        maintenance=maintenance.describe(cluster.spec.maintenance.windows, now),
    )
    requeue_after = _requeue_after(cluster, facts, moving=_is_moving(facts) or bool(actions), settings=settings)
    return Decision(actions, (), requeue_after, facts, turn, scaling)


def _division(facts: Facts) -> Division:
    """Return what the division of new connections follows from."""
    state = None if facts.canary is None else facts.canary.state
    current = facts.prior.current_revision or facts.fleet.target
    known_since = facts.now - timedelta(seconds=facts.policy.drain.settle_seconds)
    return Division(facts.name, current, state, facts.fleet, facts.step, known_since)


def _desired(cluster: RealtimeCluster, world: World, target: choice.Target, settings: PlannerSettings) -> Desired:
    built = builders.build_shared(cluster, settings.build, world.secrets, world.unserved)
    shared = tuple(manifest for manifest in built if is_served(manifest, world.unserved))
    redis = choice.choose_redis(cluster, world, shared)
    made = provenance.compose(cluster, world, target, redis, settings.build)
    missing = missing_kinds(built, world.unserved, world.withheld)
    secrets = builders.build_secrets(cluster)
    certificate = builders.build_redis_certificate_secret(cluster)
    desired = Desired(secrets, choice.with_redis(shared, redis), target, made, missing, certificate)
    return desired.with_metadata(cluster.spec.common_metadata)


def _secret_writes(cluster: RealtimeCluster, desired: Desired, world: World, now: datetime) -> tuple[Action, ...]:
    """Return the actions on existing values: the step of a rotation, and a certificate that is missing or renewed."""
    rotation = next_rotation(cluster, world, now)
    template = desired.certificate
    certificate = None if template is None else next_certificate(cluster, template, world, now)
    return tuple(action for action in (rotation, certificate) if action is not None)


def _actions(desired: Desired, facts: Facts, world: World, secret_writes: tuple[Action, ...]) -> tuple[Action, ...]:
    """Return all actions in order.

    While Secrets are missing, nothing that reads them is made, no connections are moved, and nothing is pruned.
    """
    missing = _missing_secrets(desired.secrets, world)
    if missing or (desired.certificate is not None and _lacks_keys(desired.certificate, world)):
        return (*missing, *secret_writes, *_apply(desired.shared, world, settled=False))
    used = _used_revisions(desired, facts, world)
    settled = desired.revision.of_spec and used == {desired.revision.name}
    shared = _apply(desired.shared, world, settled=settled)
    actions = [*secret_writes, *shared, *_apply_revision(desired, facts, world)]
    return (*actions, *_servers(facts, world), *_prune(desired, used, world))


def _used_revisions(desired: Desired, facts: Facts, world: World) -> set[str]:
    """Return the target and the revisions that have or may get pods: terminating ones still read their files."""
    used = {server.revision for server in world.servers} | {desired.revision.name}
    return used | {revision for revision, count in facts.fleet.replicas.items() if count > 0}


def _missing_credentials(templates: Sequence[builders.SecretTemplate], world: World) -> dict[str, tuple[str, ...]]:
    """Return the keys in use that generated Secrets lack before the actions; `report` checks them again."""
    lacking: dict[str, tuple[str, ...]] = {}
    for template in templates:
        name = object_key(template.manifest).name
        used = (key for key in template.keys if not naming.is_alternate(key))
        keys = tuple(key for key in used if key not in world.secrets.get(name, {}))
        if keys:
            lacking[name] = keys
    return lacking


def _missing_secrets(templates: Sequence[builders.SecretTemplate], world: World) -> tuple[Action, ...]:
    """Return actions for credentials that are missing, incomplete or edited; other objects depend on them."""
    actions: list[Action] = []
    for template in templates:
        key = object_key(template.manifest)
        live = world.objects.get(key)
        manifest = _with_rotation(template.manifest, live)
        if live is None or not contains(live, manifest) or _lacks_keys(template, world):
            uid = None if live is None else text_at(live, "metadata", "uid")
            actions.append(EnsureSecret(manifest, template.keys, uid))
    return tuple(actions)


def _lacks_keys(template: builders.SecretTemplate, world: World) -> bool:
    present = world.secrets.get(object_key(template.manifest).name, {})
    return any(key not in present for key in template.keys)


def _with_rotation(manifest: JsonObject, live: JsonObject | None) -> JsonObject:
    """Return the manifest with the state of the rotation, which an apply without it would remove."""
    state = text_at(live or {}, "metadata", "annotations", naming.ANNOTATION_ROTATION)
    if not state:
        return manifest
    metadata = object_at(manifest, "metadata")
    annotations: JsonObject = {**object_at(metadata, "annotations"), naming.ANNOTATION_ROTATION: state}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _facts(
    cluster: RealtimeCluster,
    world: World,
    made: JsonObject,
    fleet: Fleet,
    prior: PriorStatus,
    now: datetime,
    settings: PlannerSettings,
    canary: Canary | None,
) -> Facts:
    """Derive the facts from the observation; `made` is the provenance in the status."""
    name = cluster.metadata.name
    policy = rollout_policy(cluster, fleet.desired)
    backplane = observe_backplane(cluster, world, now)
    moves = decide_moves(world, fleet, policy, backplane, prior, now)
    budget, step = moves.budget, moves.step
    deadline = cluster.spec.rollout.progress_deadline_seconds
    return Facts(
        name=name,
        fleet=fleet,
        policy=policy,
        step=step,
        backplane=backplane,
        exposure=observe_exposure(cluster, world),
        redis=redis_state(cluster, world, prior.redis_podless_since, now),
        credentials=next_credentials(name, world.secrets, prior.credentials, now),
        progress=Progress()
        if _is_held(cluster, settings, canary)
        else next_progress(fleet, step.retiring, policy.drain, deadline, prior.progress, now),
        budget=budget if step.retiring or budget.owed > 0 or drains.any_ends(fleet) else None,
        current_revision=next_current(fleet, step, prior.current_revision),
        canary=canary,
        paused=cluster.spec.paused,
        unready_grace=timedelta(seconds=settings.unready_grace_seconds),
        now=now,
        hold=moves.hold,
        operator_paused=settings.paused,
        pods_refused=_pods_refused(world),
        provenance=made,
        rotation=describe(cluster, world),
        unreachable=subresource.unreachable_since(prior.unreachable_since, world.servers, now),
        prior=prior,
    )


def _is_held(cluster: RealtimeCluster, settings: PlannerSettings, canary: Canary | None) -> bool:
    """Return True while nothing is to make progress: in a pause, and while a canary holds."""
    if is_paused(cluster, settings):
        return True
    return canary is not None and canary.state.phase in {Phase.HOLDING, Phase.PAUSED}


def _pods_refused(world: World) -> tuple[str, ...]:
    """Return the messages of ReplicaSets whose pods the API server refuses."""
    replica_sets = sorted((key.name, live) for key, live in world.objects.items() if key.kind == "ReplicaSet")
    return tuple(
        f"ReplicaSet {name} cannot create pods: {text_at(condition, 'message')}"
        for name, live in replica_sets
        for condition in objects_at(live, "status", "conditions")
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True"
    )


def _missing_endpoint(cluster: RealtimeCluster, world: World, actions: Sequence[Action]) -> str | None:
    """Return why clients find no Service: none exists or is created now; `report` adds failures of the creation."""
    name = naming.client_service(cluster.metadata.name)
    key = ObjectKey("v1", "Service", name)
    made = any(isinstance(action, CreateObject) and object_key(action.manifest) == key for action in actions)
    return None if key in world.objects or made else f"the Service {name} does not exist"


def _apply(manifests: Sequence[JsonObject], world: World, *, settled: bool) -> list[Action]:
    """Return the writes of shared objects that are missing or different. Redis is changed in steps of its own."""
    redis = next((manifest for manifest in manifests if manifest["kind"] == "StatefulSet"), None)
    others = [manifest for manifest in manifests if manifest is not redis]
    if leaves_failover(redis, world):
        others = until_left(others, redis, world)
    written = [action for manifest in others for action in plan_write(manifest, world.objects)]
    return [*written, *change_redis(redis, world, settled=settled)]


def _apply_revision(desired: Desired, facts: Facts, world: World) -> list[Action]:
    """Return the writes of the target revision; no pod is made with the ServiceAccount or Redis Service of others."""
    redis = naming.redis(facts.name)
    needed = {object_key(m) for m in desired.shared if m["kind"] == "ServiceAccount"}
    needed |= {key for m in desired.shared if (key := object_key(m)).kind == "Service" and key.name == redis}
    return desired.revision.apply(facts.step.target_replicas, world.objects, tuple(sorted(needed)))


def _servers(facts: Facts, world: World) -> list[Action]:
    """Return the actions of the rollout's step, and the deletion of failed pods."""
    failed = [server for server in world.servers if server.failed and not server.terminating]
    probes = () if facts.canary is None else facts.canary.probes
    return [
        *facts.step.actions,
        *(ProbeServer(server.name, server.admin) for server in probes),
        *(DeleteServer(server.name, server.uid) for server in failed),
    ]


def _prune(desired: Desired, used: AbstractSet[str], world: World) -> list[Action]:
    """Return deletions of owned objects that are no longer wanted.

    A revision is deleted when it is not in `used` any more. Shared objects are deleted when no old server is left that
    may use them; a NetworkPolicy at once, as it may be what keeps new servers from becoming ready.
    """
    wanted = desired.keys()
    redis = next((manifest for manifest in desired.shared if manifest["kind"] == "StatefulSet"), None)
    keeps_redis = leaves_failover(redis, world)
    settled = desired.revision.of_spec and used == {desired.revision.name}
    actions: list[Action] = []
    for key, live in sorted(world.objects.items(), key=lambda item: item[0]):
        revision = revision_of(live)
        unused = (settled or key.kind == "NetworkPolicy") and not (keeps_redis and is_of_redis(live))
        if (revision not in used) if revision is not None else (unused and key not in wanted):
            uid, version = text_at(live, "metadata", "uid"), text_at(live, "metadata", "resourceVersion")
            actions.append(DeleteObject(key, uid, version))
    return actions


def _is_moving(facts: Facts) -> bool:
    """Return True while a change is in progress."""
    if facts.is_paused:
        return False
    fleet = facts.fleet
    waiting = any(not server.ready or server.terminating for server in fleet.servers)
    redis = facts.redis.changes_pods or any(pod.trial or not pod.ready for pod in facts.redis.pods)
    moving = bool(facts.step.retiring) or facts.budget is not None or facts.canary_phase in UNDER_WAY
    return waiting or redis or moving or fleet.target_replicas != len(fleet.live)


def _requeue_after(cluster: RealtimeCluster, facts: Facts, *, moving: bool, settings: PlannerSettings) -> float | None:
    """Return the seconds until the next reconcile: short during a change, longer with autoscaling, None: the resync.

    A cluster that waits for a rollout of the operator is looked at when its turn may have come.
    """
    if facts.is_paused:
        return None
    if moving:
        return settings.poll_seconds
    autoscaling = settings.autoscaling_poll_seconds if cluster.spec.autoscaling is not None else None
    times = (autoscaling, operator_rollout.requeue_after(cluster, facts.slot, settings, facts.now))
    return min((seconds for seconds in times if seconds is not None), default=None)
