"""Secrets read by name: the operator may neither list nor watch them, and keeps only hashes of those of others.

A Secret is read when it is first needed, and again before its copy is REFRESH_SECONDS old.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at, objects_at, text_at
from realtime_operator.errors import NotFoundError, PlatformError
from realtime_operator.platforms.base import Key
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of
from realtime_operator.platforms.kubernetes.store import slim, uid_of, version_of

logger = structlog.get_logger()

REFRESH_SECONDS = 45.0
"""Upper bound of the seconds until a changed Secret is seen."""
FORGET_SECONDS = 300.0
"""Seconds without use after which a Secret is no longer read."""
POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class KnownSecret:
    """A Secret without its data, with the SHA-256 (hex) of each value.

    `values` (base64) are kept of Secrets that a RealtimeCluster owns, and of no others.
    """

    document: JsonObject
    hashes: Mapping[str, str]
    values: Mapping[str, str]

    @property
    def admin_tokens(self) -> tuple[str, ...]:
        """The admin token and its alternate value, as far as the Secret has them."""
        keys = (naming.KEY_ADMIN_TOKEN, naming.alternate(naming.KEY_ADMIN_TOKEN))
        return tuple(base64.b64decode(self.values[key]).decode() for key in keys if self.values.get(key))


@dataclass(slots=True)
class _Entry:
    secret: KnownSecret | None = None
    known: bool = False
    expired: bool = True
    read_at: float = 0.0
    deleted_uid: str = ""
    """Uid of the Secret that this process has deleted: the answer to a read that was pending then is ignored."""
    used_at: float = 0.0
    users: set[Key] = field(default_factory=set)


class SecretReader:
    """Reader of the Secrets that clusters own or refer to. `changed` is called for each cluster of a changed Secret."""

    def __init__(
        self,
        client: KubernetesClient,
        changed: Callable[[Key], None] = lambda _key: None,
        refresh_seconds: float = REFRESH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._changed = changed
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._entries: dict[tuple[str, str], _Entry] = {}

    async def get(self, key: Key, name: str) -> KnownSecret | None:
        """Return the Secret in the cluster's namespace, None when it does not exist.

        Raises PlatformError if unknown.
        """
        entry = self._entries.setdefault((key.namespace, name), _Entry())
        entry.users.add(key)
        entry.used_at = self._clock()
        if entry.expired:
            await self._read(key.namespace, name)
        return entry.secret

    def expire(self, key: Key) -> None:
        """Make the next `get` for a cluster read its Secrets again, after an edit of the cluster."""
        for entry in self._entries.values():
            if key in entry.users:
                entry.expired = True

    def put(self, document: JsonObject) -> None:
        """Take a Secret from an answer of the API server, unless a newer version is known."""
        entry = self._entries.get((text_at(document, "metadata", "namespace"), text_at(document, "metadata", "name")))
        if entry is None or uid_of(document) == entry.deleted_uid:
            return
        newer = entry.secret is None or version_of(entry.secret.document) < version_of(document)
        self._set(entry, known_secret(document) if newer else entry.secret)

    def deleted(self, namespace: str, name: str) -> None:
        """Note that this process has deleted a Secret."""
        entry = self._entries.get((namespace, name))
        if entry is not None:
            entry.deleted_uid = uid_of(entry.secret.document) if entry.secret else entry.deleted_uid
            self._set(entry, None)

    async def run(self) -> None:
        """Refresh until cancelled. A Secret that cannot be read keeps its last known state."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Read every Secret that is due, and drop those that are no longer used."""
        now = self._clock()
        for where, entry in list(self._entries.items()):
            if now - entry.used_at > FORGET_SECONDS:
                del self._entries[where]
            elif entry.expired or now - entry.read_at >= self._refresh_seconds:
                try:
                    await self._read(*where)
                except PlatformError as error:
                    logger.warning("secret not read", namespace=where[0], secret=where[1], error=str(error))
                    entry.read_at = now - self._refresh_seconds / 2

    async def _read(self, namespace: str, name: str) -> None:
        """Read a Secret; an answer that is older than the result of a write is ignored."""
        asked_at = self._clock()
        try:
            document = await self._client.get(path_of("v1", "Secret", namespace, name))
        except NotFoundError:
            entry = self._entries.get((namespace, name))
            if entry is not None and entry.read_at <= asked_at:
                self._set(entry, None)
        else:
            self.put(document)

    def _set(self, entry: _Entry, secret: KnownSecret | None) -> None:
        changed = entry.known and _identity(entry.secret) != _identity(secret)
        entry.secret, entry.known, entry.expired, entry.read_at = secret, True, False, self._clock()
        if changed:
            for key in entry.users:
                self._changed(key)


def known_secret(document: JsonObject) -> KnownSecret:
    """Strip a Secret to what is kept of it: metadata, hashes, and the values if a RealtimeCluster owns it."""
    stripped: JsonObject = {name: value for name, value in slim(document).items() if name != "data"}
    owners = objects_at(document, "metadata", "ownerReferences")
    is_ours = any(owner.get("kind") == naming.KIND for owner in owners)
    values = {key: str(value) for key, value in object_at(document, "data").items()} if is_ours else {}
    return KnownSecret(stripped, hashes(document), values)


def hashes(secret: JsonObject) -> dict[str, str]:
    """Return the SHA-256 (hex) of each value of a Secret."""
    data = secret.get("data")
    values = data.items() if isinstance(data, dict) else ()
    return {key: hashlib.sha256(base64.b64decode(str(value))).hexdigest() for key, value in values}


def _identity(secret: KnownSecret | None) -> tuple[str, int] | None:
    return None if secret is None else (uid_of(secret.document), version_of(secret.document))
