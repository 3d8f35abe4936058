"""observe -> **decide** -> apply: what to do so that a cluster becomes what its spec says. Pure: same in, same out.

Every call starts from what is, never from what an earlier call did: an operator that is killed between two actions is
followed by one that decides the same from what it finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from realtime_operator import builders
from realtime_operator.api.base import JsonObject
from realtime_operator.api.errors import Finding
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.validation import validate
from realtime_operator.planning import autoscale, conditions, events, rollout, status
from realtime_operator.planning.autoscale import AutoscalePolicy, AutoscaleState
from realtime_operator.planning.backplane import observe_backplane
from realtime_operator.planning.budget import DrainPolicy
from realtime_operator.planning.conditions import Facts, Verdict
from realtime_operator.planning.difference import contains, needs_apply, revision_of
from realtime_operator.planning.plan import (
    Action,
    ApplyObject,
    DeleteObject,
    DeleteServer,
    EnsureSecret,
    Plan,
    ScaleRevision,
    SetStatus,
)
from realtime_operator.planning.reasons import ConditionType, Reason
from realtime_operator.planning.rollout import Fleet, RolloutStep
from realtime_operator.planning.settings import PlanSettings
from realtime_operator.planning.world import ObjectKey, Server, World, object_key


@dataclass(frozen=True, slots=True)
class Desired:
    """What the spec asks for, built."""

    secrets: tuple[builders.SecretTemplate, ...]
    shared: tuple[JsonObject, ...]
    revision: builders.Revision

    def keys(self) -> set[ObjectKey]:
        """Everything that belongs to no revision."""
        manifests = (*(template.manifest for template in self.secrets), *self.shared)
        return {object_key(manifest) for manifest in manifests}


def reconcile(cluster: RealtimeCluster, world: World, now: datetime, settings: PlanSettings) -> Plan:
    """The plan that brings `world` closer to what `cluster.spec` says; empty when it is there already.

    A spec that cannot be carried out changes nothing but the condition Accepted. A cluster that is being deleted gets
    no plan at all: its children have owner references.
    """
    if cluster.metadata.deletion_timestamp is not None:
        return Plan()
    findings = validate(cluster, world.secrets)
    if findings:
        return reject(status.observed(cluster), cluster.metadata.generation, findings, now)
    templates = builders.build_secrets(cluster)
    missing = _missing_secrets(templates, world)
    if missing and not cluster.spec.paused:
        return Plan(missing, look_again_seconds=settings.poll_seconds)
    desired = Desired(
        templates,
        builders.build_shared(cluster, settings.build, world.secrets),
        builders.build_revision(cluster, settings.build),
    )
    scaling = autoscaling(cluster, world.servers, now)
    facts = _facts(cluster, world, desired, scaling, now, settings)
    set_status, told = _status(cluster, world, facts, scaling)
    actions: list[Action] = []
    if not cluster.spec.paused:
        actions = [*_apply(desired, facts, world), *_servers(facts, world), *_prune(desired, facts, world)]
        told = [*events.narrate(cluster, facts, actions), *told]
    actions = [*actions, *set_status, *told]
    return Plan(tuple(actions), _look_again(cluster, facts, actions, settings))


def reject(old: JsonObject, generation: int, findings: Sequence[Finding], now: datetime) -> Plan:
    """Say what is wrong with a spec, once, and touch nothing that runs.

    `old` is the object's status as it stands; `generation` its metadata.generation.
    """
    message = "; ".join(str(finding) for finding in findings)
    verdict = Verdict(ConditionType.ACCEPTED, status=False, reason=findings[0].reason, message=message)
    new: JsonObject = {
        **old,
        "phase": "Degraded",
        "observedGeneration": generation,
        "conditions": status.merge_conditions(old, (verdict,), generation, now),
    }
    if new == old:
        return Plan()
    return Plan((SetStatus(new), *events.transitions(old, (verdict,))))


def _missing_secrets(templates: Sequence[builders.SecretTemplate], world: World) -> tuple[Action, ...]:
    """Credentials that are missing, incomplete or edited; what else is built depends on them."""
    actions: list[Action] = []
    for template in templates:
        key = object_key(template.manifest)
        present = world.secrets.get(key.name, {})
        live = world.objects.get(key)
        if live is None or not contains(live, template.manifest) or any(name not in present for name in template.keys):
            actions.append(EnsureSecret(template.manifest, template.keys))
    return tuple(actions)


def autoscaling(cluster: RealtimeCluster, servers: Sequence[Server], now: datetime) -> AutoscaleState | None:
    """How many servers the autoscaler wants; None when the spec says it."""
    spec = cluster.spec.autoscaling
    if spec is None:
        return None
    policy = AutoscalePolicy(
        min_replicas=spec.min_replicas,
        max_replicas=spec.max_replicas,
        connections_per_replica=spec.connections_per_replica,
        scale_down_stabilization_seconds=spec.scale_down_stabilization_seconds,
    )
    state = status.autoscale_state(status.observed(cluster))
    if state is None and servers:
        # Scaling by itself was just switched on: start from what runs, not from the minimum.
        state = AutoscaleState(desired=cluster.spec.replicas)
    return autoscale.decide(policy, servers, state, now)


def _facts(
    cluster: RealtimeCluster,
    world: World,
    desired: Desired,
    scaling: AutoscaleState | None,
    now: datetime,
    settings: PlanSettings,
) -> Facts:
    count = cluster.spec.replicas if scaling is None else scaling.desired
    fleet = Fleet(desired.revision.name, count, _replicas(world), world.servers)
    drain = cluster.spec.rollout.drain
    policy = rollout.resolve_policy(
        cluster.spec.rollout.max_surge,
        cluster.spec.rollout.max_unavailable,
        count,
        DrainPolicy(
            connections_per_second=drain.fixed_rate,
            timeout_seconds=drain.timeout_seconds,
            settle_seconds=drain.settle_seconds,
        ),
    )
    step = rollout.next_step(fleet, policy, now)
    return Facts(
        fleet=fleet,
        policy=policy,
        step=step,
        backplane=observe_backplane(cluster, world, now),
        current_revision=_current_revision(cluster, fleet, step),
        paused=cluster.spec.paused,
        unready_grace=timedelta(seconds=settings.unready_grace_seconds),
        now=now,
    )


def _replicas(world: World) -> dict[str, int]:
    """The wanted number of pods of every revision that has a ReplicaSet."""
    counts: dict[str, int] = {}
    for key, live in world.objects.items():
        spec = live.get("spec")
        revision = revision_of(live)
        if key.kind == "ReplicaSet" and revision is not None and isinstance(spec, dict):
            replicas = spec.get("replicas")
            counts[revision] = replicas if isinstance(replicas, int) else 1
    return counts


def _current_revision(cluster: RealtimeCluster, fleet: Fleet, step: RolloutStep) -> str | None:
    """The revision that served last as a whole: the target once every wanted server runs it and no old one is left."""
    updated = sum(1 for server in fleet.available if server.revision == fleet.target)
    if updated >= fleet.desired and not step.retiring and not fleet.old_replicas:
        return fleet.target
    return cluster.status.current_revision if cluster.status is not None else None


def _apply(desired: Desired, facts: Facts, world: World) -> list[Action]:
    """Everything that is missing, has changed or was edited; what a server needs comes before the servers."""
    revision = desired.revision
    replica_set = revision.replica_set(facts.step.target_replicas)
    manifests = (*desired.shared, revision.config_map, replica_set)
    return [ApplyObject(m) for m in manifests if needs_apply(m, world.objects.get(object_key(m)))]


def _servers(facts: Facts, world: World) -> list[Action]:
    """The step of the rollout, with the names of ReplicaSets for revisions; failed pods make room."""
    names = {revision_of(live): key.name for key, live in world.objects.items() if key.kind == "ReplicaSet"}
    actions: list[Action] = [
        ScaleRevision(names[action.replica_set], action.replicas) if isinstance(action, ScaleRevision) else action
        for action in facts.step.actions
    ]
    failed = [server for server in world.servers if server.failed and not server.terminating]
    return [*actions, *(DeleteServer(server.name) for server in failed)]


def _prune(desired: Desired, facts: Facts, world: World) -> list[Action]:
    """What is owned and no longer desired.

    A revision goes when its last pod is gone, terminating ones included: they still read their configuration. The rest
    goes when no old server is left that may use it.
    """
    wanted = desired.keys()
    used = {server.revision for server in world.servers} | {desired.revision.name}
    used |= {revision for revision, count in facts.fleet.replicas.items() if count > 0}
    settled = used == {desired.revision.name}
    actions: list[Action] = []
    for key, live in sorted(world.objects.items(), key=lambda item: item[0]):
        revision = revision_of(live)
        if (revision not in used) if revision is not None else (settled and key not in wanted):
            actions.append(DeleteObject(key))
    return actions


def _status(
    cluster: RealtimeCluster, world: World, facts: Facts, scaling: AutoscaleState | None
) -> tuple[list[Action], list[Action]]:
    """The status when anything in it is new, and an Event for each condition that changes."""
    accepted = Verdict(ConditionType.ACCEPTED, status=True, reason=Reason.VALID, message="the spec is carried out")
    verdicts = (accepted, *conditions.evaluate(facts))
    old = status.observed(cluster)
    new = status.compose(cluster, world, facts, verdicts, scaling)
    if new == old:
        return [], []
    return [SetStatus(new)], events.transitions(old, verdicts)


def _look_again(
    cluster: RealtimeCluster, facts: Facts, actions: Sequence[Action], settings: PlanSettings
) -> float | None:
    """Soon while something moves; at the resync when all is settled or nothing may be done."""
    fleet = facts.fleet
    if facts.paused:
        return None
    waiting = any(not server.ready or server.terminating for server in fleet.servers)
    if actions or waiting or facts.step.retiring or fleet.target_replicas != len(fleet.live):
        return settings.poll_seconds
    return settings.autoscaling_poll_seconds if cluster.spec.autoscaling is not None else None
