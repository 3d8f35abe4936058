"""Leader election over a Lease (coordination.k8s.io/v1): one process leads at a time.

As in client-go, clocks of processes are not compared: a holder counts as gone when this process has seen no change of
the Lease for the lease duration, by its own monotonic clock. Writes carry the resourceVersion that was read, so that of
two concurrent writes one fails.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import structlog

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, object_at, objects_at, text_at
from realtime_operator.errors import ConflictError, LeaseLostError, NotFoundError, PlatformError
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LeaderElectionSettings:
    """Leader-election settings: the Lease, the identity of this process, and times in seconds."""

    namespace: str
    name: str
    identity: str
    duration: float
    renew_deadline: float
    retry: float


@dataclass(frozen=True, slots=True)
class LeaseObservation:
    """The Lease as it was when it was seen to change last, and when that was (monotonic seconds)."""

    holder: str
    version: str
    at: float


class Step(StrEnum):
    """Next step with the Lease."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"
    LEAVE = "leave"


def decide(lease: JsonObject | None, seen: LeaseObservation | None, identity: str, duration: float, now: float) -> Step:
    """Decide the next step: take a Lease that is free or expired, renew one's own.

    A Lease is expired when its holder was silent for `duration` seconds. One that no operator has written is left
    alone. `now` is monotonic seconds.
    """
    if lease is None:
        return Step.CREATE
    if not is_ours(lease):
        return Step.LEAVE
    holder = text_at(lease, "spec", "holderIdentity")
    if holder == identity:
        return Step.RENEW
    if not holder:
        return Step.TAKE
    stated = dig(lease, "spec", "leaseDurationSeconds")
    limit = float(stated) if isinstance(stated, int | float) else duration
    return Step.TAKE if seen is not None and seen.holder == holder and now - seen.at > limit else Step.WAIT


def has_leader(seen: LeaseObservation | None, duration: float, retry: float, now: float) -> bool:
    """Return True when the Lease was seen to change within `duration`: somebody held it, or gave it up to a successor.

    The time of two attempts is added, in which a process that waits takes a Lease that has expired.
    """
    return seen is not None and now - seen.at < duration + 2 * retry


def is_ours(lease: JsonObject) -> bool:
    """Return True when an operator has written the Lease, according to its managedFields."""
    return any(entry.get("manager") == naming.FIELD_MANAGER for entry in objects_at(lease, "metadata", "managedFields"))


def pause_of(lease: JsonObject) -> str | None:
    """Return why people on call want the operator to move nothing, from ANNOTATION_PAUSED; None when they do not."""
    reason = text_at(lease, "metadata", "annotations", naming.ANNOTATION_PAUSED).strip()
    return reason if reason and reason.lower() != "false" else None


ATTEMPTS = 3
"""Part of `renew_deadline` after which an attempt without an answer ends, so that another one can be made."""


class Lease:
    """Membership of this process in the election. `on_pause` is called when `paused` has changed."""

    def __init__(
        self, client: KubernetesClient, settings: LeaderElectionSettings, on_pause: Callable[[], None] = lambda: None
    ) -> None:
        self._client = client
        self._on_pause = on_pause
        self._settings = settings
        self._collection = path_of("coordination.k8s.io/v1", "Lease", settings.namespace)
        self._path = path_of("coordination.k8s.io/v1", "Lease", settings.namespace, settings.name)
        self._seen: LeaseObservation | None = None
        self._contact_at: float | None = None
        self._written_last: JsonObject | None = None
        """The Lease as this process wrote it last, so that a renewal need not read it first."""
        self.renewed_at: float | None = None
        self.paused: str | None = None
        """Reason why the operator moves nothing, as the Lease said when it was read last; None: it does its work."""
        self.foreign = False
        """True when another program owns the Lease, so that this process can never lead."""

    @property
    def is_fresh(self) -> bool:
        """True when the Lease was read within the lease duration."""
        return self._contact_at is not None and time.monotonic() - self._contact_at < self._settings.duration

    @property
    def leads(self) -> bool:
        """True when this process leads now."""
        if self.renewed_at is None:
            return False
        return time.monotonic() - self.renewed_at < self._settings.renew_deadline

    @property
    def is_led(self) -> bool:
        """True when this process leads, or another does or is about to, as far as this one has seen."""
        return self.leads or has_leader(self._seen, self._settings.duration, self._settings.retry, time.monotonic())

    async def acquire(self) -> None:
        """Wait until this process leads; cancellable."""
        while not await self._try():
            await self._pause()
        logger.info("leading", lease=self._settings.name, identity=self._settings.identity)

    async def hold(self) -> None:
        """Renew until cancelled; raises LeaseLostError when the lease was not renewed in time or has another holder."""
        while True:
            await self._pause()
            if self.leads and await self._try():
                continue
            if not self.leads:
                raise LeaseLostError(f"the lease {self._settings.name} was lost")

    async def release(self) -> None:
        """Release the lease, so that a successor takes over at once. Best effort."""
        if not self.leads:
            return
        self.renewed_at = self._written_last = None
        try:
            lease = await self._client.get(self._path)
            if text_at(lease, "spec", "holderIdentity") == self._settings.identity:
                await self._client.replace(self._path, self._written(lease, holder=""))
        except PlatformError as error:
            logger.warning("lease not released", error=str(error))

    async def _pause(self) -> None:
        await asyncio.sleep(self._settings.retry * (0.8 + 0.4 * random.random()))  # noqa: S311 - jitter

    async def _try(self) -> bool:
        began, identity = time.monotonic(), self._settings.identity
        # A hanging renewal must not outlive the deadline of the previous one, from which others count.
        since = began if self.renewed_at is None else self.renewed_at
        left = max(0.0, since + self._settings.renew_deadline - began)
        # One that hangs must not use up the time of the next attempt either.
        seconds = min(left, self._settings.renew_deadline / ATTEMPTS)
        try:
            async with asyncio.timeout(seconds):
                lease = self._written_last or await self._read()
                step = decide(lease, self._seen, identity, self._settings.duration, began)
                self._note_owner(foreign=step is Step.LEAVE)
                if step in {Step.WAIT, Step.LEAVE}:
                    self.renewed_at = None
                    return False
                if step is Step.CREATE or lease is None:
                    written = await self._client.create(self._collection, self._written(None, holder=identity))
                else:
                    written = await self._client.replace(self._path, self._written(lease, holder=identity))
        except ConflictError:
            if self._written_last is None:
                return False
            # Another process has written it since: its new content decides.
            self._written_last = None
            return await self._try()
        except (PlatformError, TimeoutError) as error:
            self._written_last = None
            logger.warning("lease not renewed", error=str(error) or f"no answer within {seconds:.1f} s")
            return False
        self.renewed_at, self._contact_at, self._written_last = began, time.monotonic(), written
        return True

    def _note_owner(self, *, foreign: bool) -> None:
        if foreign and not self.foreign:
            logger.error(
                "the lease belongs to another program and is not changed: set another lease name for the operator",
                lease=self._settings.name,
                namespace=self._settings.namespace,
            )
        self.foreign = foreign

    def _note_pause(self, paused: str | None) -> None:
        if paused != self.paused:
            self.paused = paused
            logger.warning(
                "the operator is paused" if paused else "the operator is no longer paused", reason=paused or ""
            )
            self._on_pause()

    async def _read(self) -> JsonObject | None:
        try:
            lease = await self._client.get(self._path)
        except NotFoundError:
            self._contact_at = time.monotonic()
            return None
        self._contact_at = time.monotonic()
        self._note_pause(pause_of(lease))
        holder, version = text_at(lease, "spec", "holderIdentity"), text_at(lease, "metadata", "resourceVersion")
        if self._seen is None or (self._seen.holder, self._seen.version) != (holder, version):
            self._seen = LeaseObservation(holder, version, time.monotonic())
        return lease

    def _written(self, lease: JsonObject | None, *, holder: str) -> JsonObject:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        old = dig(lease or {}, "spec")
        before = old if isinstance(old, dict) else {}
        same = before.get("holderIdentity") == holder
        transitions = before.get("leaseTransitions")
        count = transitions if isinstance(transitions, int) else 0
        spec: JsonObject = {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(self._settings.duration)),
            "acquireTime": before.get("acquireTime") if same else now,
            "renewTime": now,
            "leaseTransitions": count if same else count + 1,
        }
        metadata: JsonObject = {"name": self._settings.name, "namespace": self._settings.namespace}
        if lease is not None:  # with the labels and annotations of people
            metadata = {key: value for key, value in object_at(lease, "metadata").items() if key != "managedFields"}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
