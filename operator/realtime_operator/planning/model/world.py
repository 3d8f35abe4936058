"""World: the observed state of one cluster and all that it owns, frozen, made by a platform.

Nothing in it is a live object: `reconcile` gives equal plans for equal Worlds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import text_at
from realtime_operator.api.errors import Finding
from realtime_operator.planning.model.totals import Totals

CANNOT_START = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "Unschedulable",
    }
)
"""Waiting reasons that do not resolve by themselves."""


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """Identity of an object in the cluster's namespace."""

    api_version: str
    kind: str
    name: str


def object_key(document: JsonObject) -> ObjectKey:
    """Return the key of a manifest or of a live object."""
    return ObjectKey(str(document["apiVersion"]), str(document["kind"]), text_at(document, "metadata", "name"))


class ServerState(StrEnum):
    """State of a server, by its own report."""

    SERVING = "serving"
    QUIESCED = "quiesced"
    DRAINING = "draining"
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class Recent:
    """Connects and moves at a server in the last `seconds`.

    `connects_succeeded` and `connects_failed` count connect commands by their outcome, `failures` the failed ones by
    code; `moved` counts connections that the server asked to reconnect elsewhere.
    """

    seconds: float
    connects_succeeded: int
    connects_failed: int
    moved: int
    failures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoreReport:
    """State of Redis as a server sees it: memory in bytes (limit 0: none), and the primary as HOST:PORT or ""."""

    used_bytes: int
    limit_bytes: int
    primary: str = ""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """Result of a client of the server's own: `code` is that of the answer, "" when it was let in.

    `has_token`: it had a token. `seconds` is its duration, `age_seconds` the time since its end.
    """

    code: str
    has_token: bool = False
    seconds: float = 0.0
    age_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ServerReport:
    """Answer of a server's admin API.

    `seconds_since_last_accept` is None when no connection was ever accepted. `accept_cost_seconds` is the measured
    CPU time of one accepted connection (handshake, connect, subscribe), None until enough were measured.
    `drain_rate` is the rate of the running drain in connections per second, None when none runs.
    `share` is the rate of a drain that the server begins by itself, in connections per second, 0 until it has one.
    `connect_seconds` and `loop_lag_seconds` are those of 99% of the connects and of what the event loop had to do at a
    given time, in the last seconds; None without any. `recent`, `store` and `share` are None for servers of earlier
    releases, which do not report them; these accept no alternate API key either. `totals` are counts since the start,
    None for servers of earlier releases; `probe` is the latest result of a probe, None before the first.
    """

    state: ServerState
    connections: int
    seconds_since_last_accept: float | None = None
    accept_cost_seconds: float | None = None
    drain_rate: float | None = None
    backplane_healthy: bool = True
    workers: int = 1
    recent: Recent | None = None
    store: StoreReport | None = None
    accepts_alternate_api_key: bool = False
    share: float | None = None
    connect_seconds: float | None = None
    loop_lag_seconds: float | None = None
    totals: Totals | None = None
    probe: ProbeReport | None = None


@dataclass(frozen=True, slots=True)
class AdminAccess:
    """Access to a server's admin API: its address, and the Secret in the cluster's namespace that has the token.

    `address` is an IP address or the path of a Unix socket; the token is the value of naming.KEY_ADMIN_TOKEN.
    """

    address: str
    secret: str


@dataclass(frozen=True, slots=True)
class Server:
    """One server pod.

    `report` is None when the server did not answer in time. `unready_since` is when it was ready last, or was first
    seen not to be; None while it is ready. `ready_since` is since when it is ready; None while it is not, and where
    that is not known. `was_ready`: it is or was ready.
    """

    name: str
    uid: str
    revision: str
    created_at: datetime
    serving: bool = True  # the label naming.LABEL_SERVING: behind the client Service
    ready: bool = False
    unready_since: datetime | None = None
    ready_since: datetime | None = None
    was_ready: bool = False
    terminating: bool = False
    failed: bool = False  # phase Failed or Succeeded: it will never serve again
    quiesced_at: datetime | None = None
    deletion_cost: int = 0
    drain_requested: bool = False  # ANNOTATION_DRAIN: a person wants it to be replaced
    waiting_reason: str | None = None  # ImagePullBackOff, CrashLoopBackOff, ... of the container; Unschedulable
    waiting_message: str | None = None
    admin: AdminAccess | None = None  # None: it has no address yet
    report: ServerReport | None = None

    @property
    def address(self) -> str | None:
        """Address of its admin API; None while it has none."""
        return self.admin.address if self.admin is not None else None


@dataclass(frozen=True, slots=True)
class RedisPod:
    """One pod of the managed Redis, or of the trial of a changed one.

    `template` identifies what it was made from: the StatefulSet's revision (controller-revision-hash), or
    ANNOTATION_APPLIED of a trial. `service` is the headless Service of its host name. `tls`: it has a
    certificate.
    """

    name: str
    uid: str
    template: str
    created_at: datetime
    ready: bool = False
    unready_since: datetime | None = None
    terminating: bool = False
    trial: bool = False
    service: str = ""
    tls: bool = False
    waiting_reason: str | None = None
    waiting_message: str | None = None


@dataclass(frozen=True, slots=True)
class VolumeClaim:
    """PersistentVolumeClaim of a pod of the managed Redis: its requested size as a quantity, and its StorageClass."""

    name: str
    uid: str
    size: str
    storage_class: str


@dataclass(frozen=True, slots=True)
class Endpoints:
    """URLs for clients and for backends."""

    client: str
    api: str


@dataclass(frozen=True, slots=True)
class World:
    """Input of one reconcile.

    `objects` are the live children, whole, as the API server returns them, without the values of Secrets.
    `secrets` has, for each Secret that is owned or referred to by the spec, the SHA-256 (hex) of each of its keys'
    values: enough to see that something is there or has changed, and nothing that could leak. A Secret that does not
    exist is not in it. `endpoints` is None on a platform where they follow from the Services.
    `redis` are the pods of the managed Redis, `claims` its PersistentVolumeClaims, which outlive it. `stale_since` is
    None when all of it was read just now, or is known to be as fresh; else the time (UTC) since when changes may have
    been missed. `contact_since` is since when the platform could be asked without interruption, None when that is not
    known. `status_refused` says why the status could not be written last, None when it could. `unserved` are the
    optional kinds (apiVersion, kind) that the platform does not know: objects of them cannot be applied. `withheld` are
    those of them that it knows, and the rights that the operator lacks to watch them. `refused` are the fields of the
    spec that the platform would refuse in the pods that are to be made.
    """

    objects: Mapping[ObjectKey, JsonObject]
    servers: tuple[Server, ...]
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    endpoints: Endpoints | None = None
    redis: tuple[RedisPod, ...] = ()
    claims: tuple[VolumeClaim, ...] = ()
    stale_since: datetime | None = None
    contact_since: datetime | None = None
    status_refused: str | None = None
    unserved: frozenset[tuple[str, str]] = frozenset()
    withheld: Mapping[tuple[str, str], str] = field(default_factory=dict)
    refused: tuple[Finding, ...] = ()
