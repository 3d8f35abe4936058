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
    """Type of the condition: `Accepted`, `Ready`, `Progressing`, `Degraded`, `BackplaneReady` or `CredentialsKept`."""
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
    """Addresses."""

    client: str | None = None
    """URL that clients connect to."""
    api: str | None = None
    """URL of the HTTP API for backends."""


class RolloutStatus(StatusModel):
    """The replacement of servers that is going on. Absent: none is."""

    started_at: Timestamp | None = None
    """When it began, RFC 3339."""
    updated_servers: int | None = None
    """Available servers of the target revision."""
    old_servers: int | None = None
    """Servers of other revisions that are still there."""
    connections_to_move: int | None = None
    """Connections on the servers that are to go."""
    draining_servers: Annotated[tuple[str, ...], ATOMIC] | None = None
    """Names of the servers that are quiesced or drained now."""


class BudgetStatus(StatusModel):
    """How fast connections are moved now."""

    connections_per_second: float | None = None
    """Connections per second that the whole cluster may move."""


class AutoscalingStatus(StatusModel):
    """What the autoscaler has decided and remembers."""

    desired_replicas: int | None = None
    """Servers wanted now."""
    bounds: Annotated[str, Field(max_length=32)] | None = None
    """`minReplicas` and `maxReplicas` of the spec, as `2-10`."""
    below_since: Timestamp | None = None
    """Since when fewer servers would have been enough, RFC 3339."""
    highest_recommendation: int | None = None
    """The most servers that were needed since then."""


class ServerStatus(StatusModel):
    """One server."""

    name: str
    """Name of the pod."""
    revision: str | None = None
    """The revision that it runs."""
    state: str | None = None
    """`Serving`, `Quiesced`, `Draining`, `Drained`, `Terminating`, why its container waits, or `Unknown`."""
    ready: bool | None = None
    """Whether the pod is ready."""
    connections: int | None = None
    """Connections that it has. Absent: it could not be asked."""
    unreachable_since: Timestamp | None = None
    """Since when it has not answered, RFC 3339. Absent: it answers."""
    last_connections: int | None = None
    """Connections that it had when it answered last; only while it does not answer."""


class HoldStatus(StatusModel):
    """Why no connections are moved, though servers are to go."""

    reason: Annotated[str, Field(max_length=128)]
    """Why, in one word for machines."""
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] = ""
    """Why, in a sentence for people."""
    since: Timestamp | None = None
    """When it began, RFC 3339."""
    until: Timestamp | None = None
    """When moves go on unless the reason is seen again, RFC 3339. In the past: they go on."""
    count: int | None = None
    """How often moved connections did not arrive in this rollout."""


class ProgressStatus(StatusModel):
    """How far the change is that is under way."""

    step: Annotated[str, Field(max_length=256)] = ""
    """What was reached last."""
    at: Timestamp | None = None
    """When it was reached, RFC 3339."""


class CredentialsStatus(StatusModel):
    """What is known of the generated credentials, without telling them."""

    fingerprints: dict[str, str] | None = None
    """The first characters of the SHA-256 of each generated credential."""
    replaced: Annotated[tuple[str, ...], ATOMIC] | None = None
    """Keys whose values were replaced last."""
    replaced_at: Timestamp | None = None
    """When they were, RFC 3339."""


class RedisStatus(StatusModel):
    """What is known of the managed Redis."""

    podless_since: Timestamp | None = None
    """Since when its StatefulSet has had no pod, RFC 3339."""


class MadeOf(StatusModel):
    """What the target revision and the managed Redis were made of, as hashes, so that they are kept while it is so."""

    generation: int | None = None
    """The generation of the spec."""
    servers: Annotated[str, Field(max_length=64)] | None = None
    """Of what makes a revision."""
    redis: Annotated[str, Field(max_length=64)] | None = None
    """Of what makes the managed Redis. Absent: there is none."""


class MadeWith(StatusModel):
    """The defaults that the target revision and the managed Redis were made with."""

    operator_version: Annotated[str, Field(max_length=128)] | None = None
    """Release of the operator. Absent: one that did not note it."""
    server_image: Annotated[str, Field(max_length=512)] | None = None
    """Image of the servers."""
    redis_image: Annotated[str, Field(max_length=512)] | None = None
    """Image of the managed Redis. Absent: there is none."""


class DefaultPullSecret(StatusModel):
    """A Secret with credentials for the registry, in the namespace of each cluster."""

    name: str
    """Name of the Secret."""


class OperatorDefaults(StatusModel):
    """What the operator takes now where the spec says nothing."""

    operator_version: Annotated[str, Field(max_length=128)] | None = None
    """Release of the operator."""
    server_image: Annotated[str, Field(max_length=512)] | None = None
    """Image of servers."""
    server_image_pull_policy: Annotated[str, Field(max_length=64)] | None = None
    """When the kubelet pulls it."""
    image_pull_secrets: Annotated[tuple[DefaultPullSecret, ...], ATOMIC] | None = None
    """Secrets with credentials for the registry. Absent: none."""
    redis_image: Annotated[str, Field(max_length=512)] | None = None
    """Image of managed Redis."""


class RevisionRecord(StatusModel):
    """A revision that was rolled out completely, and what it was made of, so that a person can go back to it."""

    revision: str
    """Its name."""
    completed_at: Timestamp | None = None
    """When it was rolled out, RFC 3339."""
    spec: Annotated[str, Field(max_length=65536)] = "{}"
    """The part of the spec that made it, as JSON."""
    complete: bool | None = None
    """Whether all of that part is in it. Absent: written by a release that left hooks and the drain out."""


class RealtimeClusterStatus(StatusModel):
    """What was observed last."""

    phase: Literal["Pending", "Progressing", "Ready", "Degraded", "Paused"] | None = None
    """The conditions in one word."""
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] | None = None
    """Explanation of `phase`: the message of the condition that decides it."""
    conditions: Annotated[tuple[Condition, ...], MAP_BY_TYPE] | None = None
    """What is true of the cluster."""
    observed_generation: int | None = None
    """The generation of the spec that this status is about."""
    replicas: int | None = None
    """Servers that there are."""
    ready: Annotated[str, Field(max_length=32)] | None = None
    """`readyReplicas` and the number of servers wanted, as `2/2`."""
    ready_replicas: int | None = None
    """Servers that new connections can reach."""
    connections: int | None = None
    """Connections of all servers. Absent: a server that may hold some does not answer."""
    selector: str | None = None
    """Label selector of the server pods, for autoscalers."""
    endpoints: EndpointsStatus | None = None
    """Where clients and backends connect."""
    current_revision: str | None = None
    """The revision that was rolled out completely last."""
    target_revision: str | None = None
    """The revision that the spec asks for."""
    made_of: MadeOf | None = None
    """What the target revision was made of: while the spec says the same it is kept, also by another release."""
    made_with: MadeWith | None = None
    """The defaults that it was made with."""
    defaults: OperatorDefaults | None = None
    """The defaults that the operator has now. A change of what makes a revision takes them."""
    newer_defaults: Annotated[tuple[Literal["Servers", "Redis"], ...], ATOMIC] | None = None
    """What the operator would make otherwise now, of the same spec. Absent: nothing."""
    revision_history: Annotated[tuple[RevisionRecord, ...], Field(max_length=10), ATOMIC] | None = None
    """The revisions that were rolled out completely, newest first."""
    rollout: RolloutStatus | None = None
    """The replacement of servers that is going on. Absent: none is."""
    budget: BudgetStatus | None = None
    """How fast connections are moved now. Absent: none are."""
    autoscaling: AutoscalingStatus | None = None
    """What the autoscaler has decided and remembers. Absent: there is none."""
    hold: HoldStatus | None = None
    """Why no connections are moved, or were not lately. Absent: nothing has held them."""
    progress: ProgressStatus | None = None
    """How far the change is that is under way. Absent: none is."""
    credentials: CredentialsStatus | None = None
    """What is known of the generated credentials."""
    redis: RedisStatus | None = None
    """What is known of the managed Redis. Absent: all is well."""
    servers: Annotated[tuple[ServerStatus, ...], MAP_BY_NAME] | None = None
    """The servers, by name."""

    @classmethod
    def from_object(cls, document: JsonValue) -> Self | None:
        """Read a status; None when there is none or it can't be read."""
        if not isinstance(document, dict):
            return None
        try:
            return cls.model_validate_json(json.dumps(document))
        except ValidationError:
            return None
