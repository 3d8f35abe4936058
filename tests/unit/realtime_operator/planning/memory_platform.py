"""A platform in memory: it stores what a plan applies; ReplicaSets and servers are simulated by `simulation`."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.references import referred_secrets
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_status import RealtimeClusterStatus
from realtime_operator.builders import BuildSettings
from realtime_operator.planning.canary.span import Span
from realtime_operator.planning.credentials.generated_certificate import CertificateRecord, digest_of, with_record
from realtime_operator.planning.decisions.policies import PlannerSettings
from realtime_operator.planning.model.plan import (
    Action,
    ApplyObject,
    CreateObject,
    DeleteObject,
    DeletePod,
    DeleteServer,
    EmitEvent,
    EnsureSecret,
    Failure,
    FailureKind,
    IssueCertificate,
    ResizeClaim,
    RotateCredentials,
    RotationStep,
    ScaleRevision,
    SetStatus,
)
from realtime_operator.planning.model.world import ObjectKey, RedisPod, VolumeClaim, World, object_key
from realtime_operator.planning.moving.budget import DrainPolicy
from realtime_operator.planning.moving.rollout import RolloutPolicy
from realtime_operator.planning.reconcile import Decision, reconcile
from realtime_operator.planning.scheduling.slots import OtherClusters
from realtime_operator.planning.status.report import report
from realtime_operator.platforms.base import made_by, skipped
from tests.unit.realtime_operator.planning.simulation import START, Simulation

SETTINGS = PlannerSettings(BuildSettings(server_image="localhost/server:1", redis_image="localhost/redis:1"))
QUOTA: JsonObject = {"type": "ReplicaFailure", "status": "True", "message": "pods are forbidden: exceeded quota: small"}
CERTIFICATE_KEYS = ("ca.crt", "ca.key", "tls.crt", "tls.key")
UNUSED_POLICY = RolloutPolicy(0, 0, DrainPolicy(None, 0, 0))


def dig(document: JsonObject, *path: str) -> JsonValue:
    """Return the value at a path, None when a part of it is missing."""
    value: JsonValue = document
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


@dataclass
class MemoryPlatform:
    """One cluster and all that it owns. A reconcile observes, decides and carries out; then some seconds pass.

    `settings` are those of the operator that decides; another one may take over.
    """

    spec: JsonObject = field(default_factory=dict)
    objects: dict[ObjectKey, JsonObject] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    status: JsonObject | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    """Annotations of the RealtimeCluster."""
    generation: int = 1
    events: list[EmitEvent] = field(default_factory=list)
    life: Simulation = field(default_factory=lambda: Simulation(UNUSED_POLICY, "", 0))
    taken: set[ObjectKey] = field(default_factory=set)
    """Keys of objects that others own."""
    refused: dict[ObjectKey, str] = field(default_factory=dict)
    """Objects whose writes the API server refuses, with its message."""
    redis: list[RedisPod] = field(default_factory=list)
    claims: list[VolumeClaim] = field(default_factory=list)
    redis_ready: bool = True
    stale_for: float | None = None
    contact_for: float | None = None
    paused: str | None = None
    unserved: frozenset[tuple[str, str]] = frozenset()
    withheld: dict[tuple[str, str], str] = field(default_factory=dict)
    settings: PlannerSettings = SETTINGS
    namespace: str = "test"
    others: Callable[[], OtherClusters] = OtherClusters
    """Returns the other clusters of the operator."""
    span: Span | None = None
    """What the operator remembers of a canary; None after its restart."""

    def change(self, **spec: JsonValue) -> None:
        """Change fields of the spec, as a user does."""
        self.spec = {**self.spec, **spec}
        self.generation += 1

    def cluster(self) -> RealtimeCluster:
        """Return the stored object, parsed."""
        return RealtimeCluster.from_object(self.stored())

    def stored(self) -> JsonObject:
        """Return the stored object."""
        metadata: JsonObject = {
            "name": "main", "namespace": self.namespace, "uid": "uid-1", "generation": self.generation,
            "annotations": {**self.annotations},
        }  # fmt: skip
        return {"metadata": metadata, "spec": self.spec, "status": self.status}

    def world(self) -> World:
        """Return the current observation."""
        referred = referred_secrets(self.cluster())
        known = {key.name for key in self.objects if key.kind == "Secret"} | referred
        secrets = {name: keys for name, keys in self.secrets.items() if name in known}
        servers = tuple(pod.observed(self.life.now) for pod in self.life.pods)
        if naming.KEY_ADMIN_TOKEN not in secrets.get(naming.credentials_secret("main"), {}):
            servers = tuple(replace(server, report=None) for server in servers)  # nobody answers without the token
        return World(
            copy.deepcopy(self.objects),
            servers,
            secrets,
            redis=tuple(self.redis),
            claims=tuple(self.claims),
            stale_since=None if self.stale_for is None else self.now() - timedelta(seconds=self.stale_for),
            contact_since=None if self.contact_for is None else self.now() - timedelta(seconds=self.contact_for),
            unserved=self.unserved,
            withheld=self.withheld,
        )

    def now(self) -> datetime:
        """Return the time of the model."""
        return START + timedelta(seconds=self.life.now)

    def decide(self) -> Decision:
        """Return the decision about the current state."""
        return reconcile(
            self.cluster(),
            self.world(),
            self.now(),
            replace(self.settings, paused=self.paused),
            self.others,
            self.span,
        )

    def plan(self) -> Decision:
        """Return the decision with the report on it; empty on a settled cluster."""
        decision = self.decide()
        return replace(decision, actions=(*decision.actions, *self._report(decision, self.world(), ())))

    def reconcile(self, tick: float = 1.0) -> Decision:
        """Reconcile once, then let `tick` seconds pass."""
        world, decision = self.world(), self.decide()
        self.span = decision.span
        failures: list[Failure] = []
        for action in decision.actions:
            failure = skipped(action, failures) or self._failure(action)
            if failure is not None:
                failures.append(failure)
            else:
                self.carry_out(action)
        reported = self._report(decision, world, tuple(failures))
        for action in reported:
            self.carry_out(action)
        self._live(tick)
        return replace(decision, actions=(*decision.actions, *reported))

    def _report(self, decision: Decision, world: World, failures: tuple[Failure, ...]) -> tuple[Action, ...]:
        if decision.facts is None:
            return decision.rejection
        return report(self.cluster(), world, decision.facts, decision.scaling, decision.actions, failures)

    def _failure(self, action: Action) -> Failure | None:
        key = (
            ObjectKey("v1", "PersistentVolumeClaim", action.name)
            if isinstance(action, ResizeClaim)
            else made_by(action)
        )
        if key in self.taken and not isinstance(action, ApplyObject):
            return Failure(
                action, FailureKind.NAME_TAKEN, f"{key.kind} {key.name} exists and belongs to another program"
            )
        if key is not None and key in self.refused:
            return Failure(action, FailureKind.REFUSED, self.refused[key])
        return None

    def settle(self, limit: int = 500) -> int:
        """Reconcile until a plan has no actions and no early requeue; return how often."""
        for count in range(limit):
            plan = self.reconcile()
            if not plan.actions and plan.requeue_after != self.settings.poll_seconds:
                return count
        raise AssertionError(f"not settled after {limit} reconciles: {self.plan()} {self.status}")

    def carry_out(self, action: Action) -> None:
        """Carry out one action."""
        if isinstance(action, CreateObject) and action.manifest["kind"] == "Pod":
            made_from = str(dig(action.manifest, "metadata", "annotations", naming.ANNOTATION_APPLIED))
            name = str(dig(action.manifest, "metadata", "name"))
            self.redis.append(RedisPod(name, f"uid-{made_from}", made_from, self.now(), trial=True))
        elif isinstance(action, CreateObject | ApplyObject):
            key = object_key(action.manifest)
            self.objects[key] = {**self.objects.get(key, {}), **copy.deepcopy(action.manifest)}
        elif isinstance(action, EnsureSecret):
            key = object_key(action.manifest)
            self.objects[key] = copy.deepcopy(action.manifest)
            values = self.secrets.setdefault(key.name, {})
            for name in action.keys:
                values.setdefault(name, hashlib.sha256(f"{name}{self.life.now}".encode()).hexdigest())
        elif isinstance(action, RotateCredentials | IssueCertificate):
            self._write_secret(action)
        elif isinstance(action, DeleteObject):
            self.delete(action.key)
        elif isinstance(action, EmitEvent):
            self.events.append(action)
        elif isinstance(action, SetStatus):
            assert RealtimeClusterStatus.from_object(action.status) is not None, "the API server would refuse it"
            self.status = action.status
        elif isinstance(action, DeleteServer):
            self.life.pods = [pod for pod in self.life.pods if pod.name != action.server]
        elif isinstance(action, DeletePod):
            self.redis = [pod for pod in self.redis if pod.uid != action.uid]
        elif isinstance(action, ResizeClaim):
            self.claims = [
                replace(claim, size=action.size) if claim.uid == action.uid else claim for claim in self.claims
            ]
        else:
            self.life.carry_out(self._with_revision(action))

    def _write_secret(self, action: RotateCredentials | IssueCertificate) -> None:
        if isinstance(action, RotateCredentials):
            self._rotate(action)
        else:
            self._issue(action)

    def _issue(self, action: IssueCertificate) -> None:
        key, end = object_key(action.manifest), action.not_after
        values = {name: hashlib.sha256(f"{name}{end}".encode()).hexdigest() for name in CERTIFICATE_KEYS}
        self.secrets[key.name] = values
        record = CertificateRecord(action.names, end, action.authority_not_after, digest_of(values))
        self.objects[key] = with_record(copy.deepcopy(action.manifest), record)

    def _rotate(self, action: RotateCredentials) -> None:
        live, values = self.objects[ObjectKey("v1", "Secret", action.secret)], self.secrets[action.secret]
        metadata = live["metadata"]
        assert isinstance(metadata, dict)
        annotations = metadata["annotations"]
        assert isinstance(annotations, dict)
        annotations[naming.ANNOTATION_ROTATION] = action.annotation
        for key in action.keys:
            second = naming.alternate(key)
            if action.step is RotationStep.EXCHANGE:
                values[key], values[second] = values[second], values[key]
            else:
                values[second] = hashlib.sha256(f"{second}{self.life.now}".encode()).hexdigest()

    def delete(self, key: ObjectKey) -> None:
        """Remove an object and, for a Secret, its values."""
        del self.objects[key]
        if key.kind == "Secret":
            del self.secrets[key.name]

    def _with_revision(self, action: Action) -> Action:
        if not isinstance(action, ScaleRevision):
            return action
        key = ObjectKey("apps/v1", "ReplicaSet", action.replica_set)
        spec = self.objects[key]["spec"]
        assert isinstance(spec, dict)
        spec["replicas"] = action.replicas
        return replace(action, replica_set=str(dig(self.objects[key], "metadata", "labels", naming.LABEL_REVISION)))

    def _live(self, tick: float) -> None:
        self.life.replicas = {}
        for key, live in self.objects.items():
            if key.kind == "ReplicaSet":
                revision = str(dig(live, "metadata", "labels", naming.LABEL_REVISION))
                self.life.replicas[revision] = int(str(dig(live, "spec", "replicas")))
                live.pop("status", None)
                if self.life.refuses_pods:
                    live["status"] = {"conditions": [QUOTA]}
            if key.kind == "StatefulSet":
                live["status"] = {"readyReplicas": int(self.redis_ready)}
        self.life.live(tick)
