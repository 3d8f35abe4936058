"""Tests of the reading of Secrets with the operator's permissions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.errors import PlatformError
from realtime_operator.metrics import Metrics
from realtime_operator.platforms.base import Key
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of
from realtime_operator.platforms.kubernetes.driver import KubernetesPlatform
from realtime_operator.platforms.kubernetes.secret_reader import FORGET_SECONDS, SecretReader
from realtime_operator.pods.admin_client import AdminClient
from tests.kit.apiserver import ApiServer
from tests.kit.document import dig


@dataclass
class Reading:
    """A reader of one namespace, with a manual clock and a count of its requests."""

    server: ApiServer
    client: KubernetesClient
    namespace: str
    now: float = 1000.0
    requests: int = 0
    changes: list[Key] = field(default_factory=list)
    reader: SecretReader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = SecretReader(self.client, self.changes.append, refresh_seconds=45, clock=lambda: self.now)
        self.client.answered = self._answered

    def _answered(self, _method: str, _path: str, document: JsonObject) -> None:
        self.requests += 1
        self.reader.put(document)

    @property
    def key(self) -> Key:
        """Key of the cluster that uses the Secret."""
        return Key(self.namespace, "main")

    @property
    def path(self) -> str:
        """API path of the Secret."""
        return path_of("v1", "Secret", self.namespace, "keys")

    def make(self, value: str) -> None:
        """Create the Secret as another user."""
        document: JsonObject = {"metadata": {"name": "keys"}, "stringData": {naming.KEY_ADMIN_TOKEN: value}}
        self.server.call("POST", path_of("v1", "Secret", self.namespace), document)

    async def value(self) -> str | None:
        """Return the known hash of the Secret's value, None when the Secret does not exist."""
        secret = await self.reader.get(self.key, "keys")
        return None if secret is None else secret.hashes[naming.KEY_ADMIN_TOKEN]


@pytest.fixture
def reading(api_server: ApiServer, operator_client: KubernetesClient, namespace: str) -> Reading:
    """A reader without data."""
    return Reading(api_server, operator_client, namespace)


def digest(value: str) -> str:
    """Return the hash of a value."""
    return hashlib.sha256(value.encode()).hexdigest()


async def test_a_secret_is_read_once_and_its_values_are_not_kept(reading: Reading) -> None:
    """Only hashes of values are kept."""
    reading.make("secret")
    for _ in range(3):
        assert await reading.value() == digest("secret")
    secret = await reading.reader.get(reading.key, "keys")
    assert secret is not None
    assert (secret.values, secret.admin_tokens) == ({}, ())
    assert "data" not in secret.document
    assert dig(secret.document, "metadata", "managedFields") is None
    assert (reading.requests, reading.changes) == (1, [])


async def test_the_values_of_a_secret_that_a_cluster_owns_are_kept(reading: Reading) -> None:
    """The operator needs the admin token, and restores deleted values."""
    reading.make("secret")
    owner: JsonObject = {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "name": "main", "uid": "u"}
    reading.server.call("PATCH", reading.path, {"metadata": {"ownerReferences": [owner]}})
    secret = await reading.reader.get(reading.key, "keys")
    assert secret is not None
    assert secret.values == {naming.KEY_ADMIN_TOKEN: "c2VjcmV0"}
    assert secret.admin_tokens == ("secret",)


async def test_a_change_is_seen_and_told_when_the_secret_is_due(reading: Reading) -> None:
    """Creation, change and deletion of a Secret are each reported once."""
    assert await reading.value() is None
    steps = ("first", "second", None, "third")
    for step, value in enumerate(steps, 1):
        if value is None:
            reading.server.call("DELETE", reading.path)
        elif value == "second":
            reading.server.call("PATCH", reading.path, {"stringData": {naming.KEY_ADMIN_TOKEN: value}})
        else:
            reading.make(value)
        reading.now += 44
        await reading.reader.refresh()
        assert len(reading.changes) == step - 1, "not due"
        reading.now += 1
        await reading.reader.refresh()
        assert reading.changes == [reading.key] * step
        assert await reading.value() == (None if value is None else digest(value))


async def test_an_edited_cluster_has_its_secrets_read_again(reading: Reading) -> None:
    """Changes of a cluster and of its Secret take effect together."""
    reading.make("first")
    await reading.value()
    reading.server.call("PATCH", reading.path, {"stringData": {naming.KEY_ADMIN_TOKEN: "second"}})
    reading.reader.expire(Key(reading.namespace, "another"))
    assert await reading.value() == digest("first")
    reading.reader.expire(reading.key)
    assert await reading.value() == digest("second")


async def test_what_nobody_uses_is_not_read_any_more(reading: Reading) -> None:
    """The deletion of its cluster is such a case."""
    reading.make("first")
    await reading.value()
    reading.now += FORGET_SECONDS + 1
    await reading.reader.refresh()
    await reading.reader.refresh()
    assert reading.requests == 1


async def test_a_secret_that_cannot_be_read_stays_as_it_was_known(reading: Reading) -> None:
    """A Secret that was never read does not count as missing."""
    reading.make("first")
    await reading.value()
    reading.server.stop()
    try:
        reading.now += 45
        await reading.reader.refresh()
        assert await reading.value() == digest("first")
        with pytest.raises(PlatformError):
            await reading.reader.get(reading.key, "another")
    finally:
        reading.server.start()


async def test_own_writes_are_known_at_once(
    api_server: ApiServer, operator_client: KubernetesClient, namespace: str
) -> None:
    """A pending read does not undo a creation, change or deletion by the platform."""
    platform = KubernetesPlatform(operator_client, AdminClient(), Metrics(), (namespace,))
    key, collection = Key(namespace, "main"), path_of("v1", "Secret", namespace)

    async def value() -> str | None:
        secret = await platform.secrets.get(key, "keys")
        return None if secret is None else secret.hashes["a"]

    assert await value() is None
    manifest: JsonObject = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}}
    await operator_client.create(collection, {**manifest, "data": {"a": "Zmlyc3Q="}})
    assert await value() == digest("first")
    await operator_client.apply(f"{collection}/keys", {**manifest, "data": {"a": "c2Vjb25k"}})
    assert await value() == digest("second")
    old = api_server.call("GET", f"{collection}/keys")
    await operator_client.delete(f"{collection}/keys")
    platform.secrets.put(old)
    assert await value() is None
