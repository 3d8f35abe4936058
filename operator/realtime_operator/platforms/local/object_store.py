"""Objects of one cluster, as an API server keeps them: the RealtimeCluster, its objects, Secrets, Events.

Everything but the values of Secrets is in memory: after a restart it is made from the file again.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at
from realtime_operator.planning.model.plan import EmitEvent
from realtime_operator.planning.model.world import ObjectKey, object_key
from realtime_operator.platforms.base import random_credential

NAMESPACE = "local"
KEPT_EVENTS = 1000
NAME = re.compile("[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""Names of objects that Kubernetes takes; here they are names of folders."""


@dataclass(frozen=True, slots=True)
class Event:
    """An Event about the cluster."""

    at: datetime
    type: str
    reason: str
    message: str

    def to_object(self) -> JsonObject:
        """Return the Event as a JSON object."""
        return {"at": self.at.isoformat(), "type": self.type, "reason": self.reason, "message": self.message}


class ObjectStore:
    """Objects in memory, and Secrets, which survive restarts, as files: `secrets_folder`/NAME/KEY."""

    def __init__(self, secrets_folder: Path) -> None:
        self._secrets_folder = secrets_folder
        self.cluster: JsonObject | None = None
        self.objects: dict[ObjectKey, JsonObject] = {}
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)

    def set_cluster(self, name: str, spec: JsonObject) -> None:
        """Create the cluster, or replace its spec; each change increases the generation."""
        if self.cluster is None:
            metadata: JsonObject = {
                "name": name,
                "namespace": NAMESPACE,
                "uid": str(uuid.uuid4()),
                "generation": 1,
                "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            self.cluster = {
                "apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": metadata, "spec": spec,
            }  # fmt: skip
        elif self.cluster["spec"] != spec:
            metadata = object_at(self.cluster, "metadata")
            generation = metadata["generation"]
            assert isinstance(generation, int)
            self.cluster = {**self.cluster, "metadata": {**metadata, "generation": generation + 1}, "spec": spec}

    def set_status(self, status: JsonObject) -> None:
        """Replace the cluster's status."""
        if self.cluster is not None:
            self.cluster = {**self.cluster, "status": status}

    def apply(self, manifest: JsonObject) -> None:
        """Create an object, or replace the fields that the manifest has."""
        key = object_key(manifest)
        self.objects[key] = {**self.objects.get(key, {}), **manifest}

    def scale(self, replica_set: str, replicas: int) -> None:
        """Set the number of pods of a ReplicaSet; without effect when there is no such ReplicaSet."""
        key = ObjectKey("apps/v1", "ReplicaSet", replica_set)
        live = self.objects.get(key)
        if live is not None:
            self.objects[key] = {**live, "spec": {**object_at(live, "spec"), "replicas": replicas}}

    def delete(self, key: ObjectKey) -> None:
        """Remove an object, and the values of a Secret."""
        self.objects.pop(key, None)
        if key.kind == "Secret":
            for file in self._folder(key.name).glob("*"):
                file.unlink()

    def ensure_secret(self, manifest: JsonObject, keys: tuple[str, ...]) -> None:
        """Create a Secret, or add its missing keys, with random values."""
        self.apply(manifest)
        name = object_key(manifest).name
        for key in keys:
            if key not in self.secret(name):
                self.put_secret(name, {key: random_credential()})

    def put_secret(self, name: str, values: Mapping[str, str]) -> None:
        """Write keys of a Secret, each atomically, so that no partial value is kept."""
        folder = self._folder(name)
        folder.mkdir(mode=0o700, exist_ok=True)
        for key, value in values.items():
            new = self._secrets_folder / ".new"
            new.unlink(missing_ok=True)
            new.touch(mode=0o600)
            new.write_bytes(value.encode())
            new.replace(folder / key)

    def secret(self, name: str) -> dict[str, str]:
        """Return the values of a Secret; empty when it does not exist or its name is invalid."""
        if NAME.fullmatch(name) is None or not self._folder(name).is_dir():
            return {}
        return {file.name: file.read_bytes().decode() for file in sorted(self._folder(name).glob("*"))}

    def secret_hashes(self, name: str) -> dict[str, str]:
        """Return the SHA-256 (hex) of each value of a Secret."""
        return {key: hashlib.sha256(value.encode()).hexdigest() for key, value in self.secret(name).items()}

    def config_map(self, name: str) -> dict[str, str]:
        """Return the data of a ConfigMap; empty when it does not exist."""
        data = self.objects.get(ObjectKey("v1", "ConfigMap", name), {}).get("data")
        return {key: str(value) for key, value in data.items()} if isinstance(data, dict) else {}

    def record_event(self, event: EmitEvent) -> Event:
        """Keep an Event."""
        recorded = Event(datetime.now(UTC), event.type.value, str(event.reason), event.message)
        self.events.append(recorded)
        return recorded

    def _folder(self, name: str) -> Path:
        assert NAME.fullmatch(name), name
        return self._secrets_folder / name
