"""The status of a RealtimeCluster: what was observed and decided last. Written by the operator only.

All of it is optional: a successor of another release must be able to read what its predecessor left.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationError

from realtime_operator.api.base import JsonValue, Model
from realtime_operator.api.lists import ATOMIC, MAP_BY_NAME, MAP_BY_TYPE

CONDITION_TYPE = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
)
CONDITION_REASON = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
MAX_MESSAGE = 32768

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class StatusModel(Model):
    """Base of the status models: fields of other releases are ignored."""

    model_config = ConfigDict(extra="ignore")


class Condition(StatusModel):
    """One aspect of the cluster's state, with the fields and rules of metav1.Condition."""

    type: Annotated[str, Field(max_length=316, pattern=CONDITION_TYPE)]
    """Type of the condition: `Accepted`, `Ready`, `Progressing`, `Degraded`, `BackplaneReady`, `EndpointReady` or
    `CredentialsKept`."""
    status: Literal["True", "False", "Unknown"]
    """Status of the condition."""
    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=CONDITION_REASON)]
    """Identifier in CamelCase of why the condition has its status, for programs."""
    message: Annotated[str, Field(max_length=MAX_MESSAGE)]
    """Explanation of why the condition has its status, for people. May be empty."""
    last_transition_time: Timestamp
    """Time at which `status` changed last, RFC 3339."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """`metadata.generation` of the spec that the condition was judged by."""


class EndpointsStatus(StatusModel):
    """Addresses of the cluster."""

    client: str | None = None
    """URL that clients connect to, for WebSocket."""
    api: str | None = None
    """URL of the HTTP API for backends."""


class RolloutStatus(StatusModel):
    """Replacement or removal of servers that is under way. Absent when there is none."""

    started_at: Timestamp | None = None
    """Time at which it began, RFC 3339."""
    updated_servers: int | None = None
    """Number of available servers of the target revision."""
    old_servers: int | None = None
    """Number of servers of other revisions."""
    connections_to_move: int | None = None
    """Number of connections on the servers that are to be removed."""
    draining_servers: Annotated[tuple[str, ...], ATOMIC] | None = None
    """Names of the servers that are quiesced or drained now."""


class RolloutSlotStatus(StatusModel):
    """Slot of a rollout. The operator begins rollouts of its own in few clusters at once, by their slots."""

    state: Annotated[str, Field(max_length=64)]
    """State of the slot: `WaitingForWindow`, `WaitingForSlot`, `Granted` (the rollout begins next), `Held` (it runs,
    whoever has begun it), or `Released` (it is paused or overdue, so that others may begin)."""
    revision: str | None = None
    """Revision that is or will be rolled out."""
    since: Timestamp | None = None
    """Time since when the slot has been in this state, RFC 3339."""
    position: int | None = None
    """Position among the clusters that wait for a slot, from 1."""
    held_by: Annotated[tuple[str, ...], ATOMIC] | None = None
    """Clusters that hold the slots, as `NAMESPACE/NAME`, at most five of them."""


class MaintenanceStatus(StatusModel):
    """State of the maintenance windows."""

    state: Annotated[str, Field(max_length=64)]
    """`Open` or `Closed`."""
    next_window: Timestamp | None = None
    """Time at which the next window opens, RFC 3339. Absent while one is open."""


class BudgetStatus(StatusModel):
    """Rate at which connections are moved, for whatever reason."""

    connections_per_second: float | None = None
    """Connections per second that the whole cluster may move now."""
    owed: float | None = None
    """Connections that reconnect without having been moved, as after a crash. They use up the budget: nothing that can
    wait is moved until they are paid. Absent when there are none."""
    factor: float | None = None
    """Factor of the rate of `Auto`, by what the receiving servers were seen to absorb. It is 1 at the begin."""
    adjusted_at: Timestamp | None = None
    """Time at which the factor was changed last, RFC 3339."""
    at: Timestamp | None = None
    """Time of this state, RFC 3339. Absent when nothing is owed."""
    usual_connect_seconds: float | None = None
    """Time in seconds of 99% of the connects when the moves began."""


class AutoscalingStatus(StatusModel):
    """State of the autoscaler."""

    desired_replicas: int | None = None
    """Number of servers that the autoscaler wants."""
    bounds: Annotated[str, Field(max_length=32)] | None = None
    """`minReplicas` and `maxReplicas` of the spec, as `2-10`."""
    below_since: Timestamp | None = None
    """Time since when fewer servers would have been enough, RFC 3339."""
    highest_recommendation: int | None = None
    """Largest number of servers needed since `belowSince`."""


class ServerStatus(StatusModel):
    """State of one server."""

    name: str
    """Name of the server's pod."""
    revision: str | None = None
    """Revision that the server runs."""
    state: str | None = None
    """State of the server: `Serving`, `Quiesced`, `Draining`, `Drained`, `Terminating`, `Unknown`, or the reason for
    which its container waits."""
    ready: bool | None = None
    """Readiness of the pod."""
    connections: int | None = None
    """Number of connections. Absent while the server does not answer."""
    unreachable_since: Timestamp | None = None
    """Time since when the server has not answered, RFC 3339. Absent while it answers."""
    last_connections: int | None = None
    """Number of connections when the server answered last. Absent while it answers."""


class HoldStatus(StatusModel):
    """Hold of all moves of connections, though servers are to be removed."""

    reason: Annotated[str, Field(max_length=128)]
    """Identifier in CamelCase of the reason, for programs."""
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] = ""
    """Explanation of the reason, for people."""
    since: Timestamp | None = None
    """Time at which it began, RFC 3339."""
    until: Timestamp | None = None
    """Time at which moves go on unless the reason is seen again, RFC 3339. In the past when they go on."""
    count: int | None = None
    """Number of times that moved connections did not arrive in this rollout."""


class GateStatus(StatusModel):
    """Outcome of a gate in the current step of a canary."""

    name: Annotated[str, Field(max_length=64)]
    """Name of the gate."""
    outcome: Annotated[str, Field(max_length=64)]
    """Outcome so far: `Passed`, `Failed` or `Undecided`."""
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] = ""
    """Numbers that the outcome follows from."""


class CanaryStatus(StatusModel):
    """Canary of a revision: the step that is under way, or how it ended."""

    revision: str | None = None
    """Revision that is tried, or has failed."""
    made_of: Annotated[str, Field(max_length=64)] | None = None
    """Hash of what that revision was made of."""
    step: int | None = None
    """Number of the step, from 1."""
    phase: Literal["Moving", "Holding", "Paused", "RolledBack", "Passed"] | None = None
    """Phase: `Moving` (servers are being replaced), `Holding` (the new servers must do well for a time), `Passed` (all
    steps are done, the remaining servers are being replaced), `Paused` or `RolledBack` (a gate has failed)."""
    step_started_at: Timestamp | None = None
    """Time at which the step began, RFC 3339. Events since then are judged."""
    since: Timestamp | None = None
    """Time at which the phase began, RFC 3339. A hold begins anew when servers join the step."""
    weight: int | None = None
    """Percentage of the new connections that the route gives to the revision, as the route was last observed. Absent
    while it leads to all servers alike."""
    gates: Annotated[tuple[GateStatus, ...], Field(max_length=32), MAP_BY_NAME] | None = None
    """Gates of the step."""
    failed_gate: Annotated[str, Field(max_length=64)] | None = None
    """Gate that has failed. Absent when none has."""
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] | None = None
    """Explanation of the failure, for people."""
    resumed_at: Annotated[str, Field(max_length=64)] | None = None
    """`spec.rollout.canary.resumedAt` at the failure."""


class ProgressStatus(StatusModel):
    """Progress of the change that is under way."""

    step: Annotated[str, Field(max_length=256)] = ""
    """Step that was reached last."""
    at: Timestamp | None = None
    """Time at which it was reached, RFC 3339."""


class CredentialsStatus(StatusModel):
    """Generated credentials, without their values."""

    fingerprints: dict[str, str] | None = None
    """First characters of the SHA-256 of each generated credential."""
    replaced: Annotated[tuple[str, ...], ATOMIC] | None = None
    """Keys of the Secrets whose values were replaced last."""
    replaced_at: Timestamp | None = None
    """Time at which they were replaced, RFC 3339."""


class RedisStatus(StatusModel):
    """State of Redis."""

    primary: Annotated[str, Field(max_length=300)] | None = None
    """Primary that most servers use: the name of its pod, or host and port of an external Redis with Sentinel. Absent
    where there is no choice."""
    podless_since: Timestamp | None = None
    """Time since when the StatefulSet of the managed Redis has had no pod, RFC 3339."""


class MadeOf(StatusModel):
    """Hashes of what the target revision and the managed Redis were made of; both are kept while these are the same."""

    generation: int | None = None
    """`metadata.generation` of the spec."""
    servers: Annotated[str, Field(max_length=64)] | None = None
    """Hash of what makes a revision."""
    redis: Annotated[str, Field(max_length=64)] | None = None
    """Hash of what makes the managed Redis. Absent when there is none."""


class MadeWith(StatusModel):
    """Operator's defaults that the target revision and the managed Redis were made with."""

    operator_version: Annotated[str, Field(max_length=128)] | None = None
    """Release of the operator."""
    server_image: Annotated[str, Field(max_length=512)] | None = None
    """Image of the servers."""
    redis_image: Annotated[str, Field(max_length=512)] | None = None
    """Image of the managed Redis. Absent when there is none."""


class DefaultPullSecret(StatusModel):
    """Reference to a Secret with credentials for the registry, in the namespace of each cluster."""

    name: str
    """Name of the Secret."""


class OperatorDefaults(StatusModel):
    """Operator's defaults for what the spec leaves out."""

    operator_version: Annotated[str, Field(max_length=128)] | None = None
    """Release of the operator."""
    server_image: Annotated[str, Field(max_length=512)] | None = None
    """Image of the servers."""
    server_image_pull_policy: Annotated[str, Field(max_length=64)] | None = None
    """Pull policy of the image of the servers."""
    image_pull_secrets: Annotated[tuple[DefaultPullSecret, ...], ATOMIC] | None = None
    """Secrets with credentials for the registry. Absent when there are none."""
    redis_image: Annotated[str, Field(max_length=512)] | None = None
    """Image of the managed Redis."""


class RevisionRecord(StatusModel):
    """Revision that was rolled out completely, to which `realtime rollout undo` can go back."""

    revision: str
    """Name of the revision."""
    completed_at: Timestamp | None = None
    """Time at which it was rolled out, RFC 3339."""
    spec: Annotated[str, Field(max_length=65536)] = "{}"
    """Part of the spec that made the revision, as JSON."""


class RealtimeClusterStatus(StatusModel):
    """Observed state of the cluster."""

    phase: Literal["Pending", "Progressing", "Ready", "Degraded", "Paused"] | None = None
    """Summary of the conditions in one word."""
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] | None = None
    """Explanation of `phase`: the message of the condition that decides it."""
    conditions: Annotated[tuple[Condition, ...], MAP_BY_TYPE] | None = None
    """Conditions of the cluster."""
    observed_generation: int | None = None
    """`metadata.generation` of the spec that the status is about."""
    replicas: int | None = None
    """Number of servers."""
    ready: Annotated[str, Field(max_length=32)] | None = None
    """`readyReplicas` and the number of servers wanted, as `2/2`."""
    ready_replicas: int | None = None
    """Number of servers that new connections can reach."""
    connections: int | None = None
    """Number of connections of all servers. Absent while a server that may hold some does not answer."""
    selector: str | None = None
    """Label selector of the server pods, for the scale subresource."""
    endpoints: EndpointsStatus | None = None
    """Addresses for clients and backends."""
    current_revision: str | None = None
    """Revision that was rolled out completely last."""
    target_revision: str | None = None
    """Revision that the spec asks for."""
    made_of: MadeOf | None = None
    """Hashes of what the target revision was made of. It is kept while the spec says the same, also by another
    release."""
    made_with: MadeWith | None = None
    """Operator's defaults that the target revision was made with."""
    defaults: OperatorDefaults | None = None
    """Operator's defaults of now. The next change of what makes a revision takes them."""
    newer_defaults: Annotated[tuple[Literal["Servers", "Redis"], ...], ATOMIC] | None = None
    """Parts that the operator would make otherwise now, of the same spec. Absent when there are none."""
    revision_history: Annotated[tuple[RevisionRecord, ...], Field(max_length=10), ATOMIC] | None = None
    """Revisions that were rolled out completely, newest first."""
    rollout: RolloutStatus | None = None
    """Replacement or removal of servers that is under way. Absent when there is none."""
    rollout_slot: RolloutSlotStatus | None = None
    """Slot that a rollout holds or waits for. Absent when there is none."""
    maintenance: MaintenanceStatus | None = None
    """State of the maintenance windows. Absent when the spec has none."""
    canary: CanaryStatus | None = None
    """Canary of a revision. Absent when none is tried, and none has failed."""
    budget: BudgetStatus | None = None
    """Rate at which connections are moved. Absent while none are moved or owed."""
    autoscaling: AutoscalingStatus | None = None
    """State of the autoscaler. Absent without `spec.autoscaling`."""
    hold: HoldStatus | None = None
    """Hold of all moves that is in force, or was lately. Absent when there was none."""
    progress: ProgressStatus | None = None
    """Progress of the change that is under way. Absent when there is none."""
    credentials: CredentialsStatus | None = None
    """State of the generated credentials, without their values."""
    redis: RedisStatus | None = None
    """State of Redis. Absent when there is nothing to report."""
    servers: Annotated[tuple[ServerStatus, ...], MAP_BY_NAME] | None = None
    """State of each server, by name."""

    @classmethod
    def from_object(cls, document: JsonValue) -> Self | None:
        """Read a status; None when there is none or it can't be read."""
        if not isinstance(document, dict):
            return None
        try:
            return cls.model_validate_json(json.dumps(document))
        except ValidationError:
            return None
