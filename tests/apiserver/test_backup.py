"""A cluster as a file, created again in another namespace and under another name, by the operator too."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.platforms.kubernetes.client import path_of
from tests.apiserver.test_cli import Person
from tests.kit.apiserver import ApiServer, RefusedError
from tests.kit.chart import documents_of
from tests.kit.deadline import eventually
from tests.kit.document import dig, object_at, objects_at, text_at
from tests.kit.operator_process import OperatorProcess

HOOK = {"name": "backend", "key": "hook"}
SPEC: JsonObject = {
    "replicas": 1, "hooks": {"rpc": {"url": "http://backend/rpc"}, "signingKey": {"secretKeyRef": {**HOOK}}},
}  # fmt: skip


def secret(server: ApiServer, namespace: str, name: str) -> JsonObject:
    """Return a Secret; empty when there is none."""
    try:
        return server.call("GET", path_of("v1", "Secret", namespace, name))
    except RefusedError:
        return {}


@pytest.fixture
def other(api_server: ApiServer, namespace: str) -> str:
    """Another namespace."""
    name = f"{namespace}-other"
    api_server.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name


async def test_a_cluster_comes_back_elsewhere(
    api_server: ApiServer, namespace: str, other: str, tmp_path: Path
) -> None:
    """It has its credentials, owned by the new object, and the Secrets of its spec; the operator takes it up."""
    file, person, there = tmp_path / "main.yaml", Person(api_server, namespace), Person(api_server, other)
    hook: JsonObject = {"metadata": {"name": HOOK["name"]}, "stringData": {HOOK["key"]: "secret", "unused": "x"}}
    api_server.call("POST", path_of("v1", "Secret", namespace), hook)
    settings = {"watch_namespaces": f"{namespace},{other}", "resync_seconds": 2}
    async with OperatorProcess(api_server, namespace, **settings) as operator:
        await operator.wait_ready()
        person.create("main", **SPEC)

        async def credentials(place: str = namespace, name: str = "main") -> JsonObject:
            found = secret(api_server, place, naming.credentials_secret(name))
            return object_at(found, "data")

        made = await eventually(credentials, bool, what="credentials", within=20)
        exported = await person("export", "--secrets", "all", "-f", str(file))
        assert exported.code == 0, exported
        documents = {text_at(document, "metadata", "name"): document for document in documents_of(file.read_text())}
        assert set(documents) == {"main", "main-credentials", "main-redis", "backend"}
        assert object_at(documents["backend"], "stringData") == {"hook": "secret"}

        imported = await there("import", "-f", str(file), "--name", "copy")
        assert imported.code == 0, imported
        created = there.stored("copy")
        assert dig(created, "spec", "paused") is False
        assert dig(created, "spec", "hooks") == dig(person.stored("main"), "spec", "hooks")
        own = secret(api_server, other, "copy-credentials")
        assert object_at(own, "data") == made
        (owner,) = objects_at(own, "metadata", "ownerReferences")
        assert owner["uid"] == text_at(created, "metadata", "uid")

        async def services() -> int:
            return len(objects_at(api_server.call("GET", path_of("v1", "Service", other)), "items"))

        await eventually(services, lambda count: count == 4, what="the operator makes its objects", within=20)
        assert object_at(secret(api_server, other, "copy-credentials"), "data") == made
        before = object_at(secret(api_server, namespace, "main-redis"), "data")
        assert object_at(secret(api_server, other, "copy-redis"), "data") == before

        again = await there("import", "-f", str(file), "--name", "copy")
        assert (again.code, "has a cluster copy: choose another --name" in again.stderr) == (2, True)
        second = await there("import", "-f", str(file), "--name", "second")
        assert "Secret backend exists and is kept as it is" in second.stderr


async def test_an_import_that_fails_leaves_no_cluster(api_server: ApiServer, namespace: str, tmp_path: Path) -> None:
    """A Secret of somebody else has the name of the credentials; nothing is made beside it."""
    person, file = Person(api_server, namespace), tmp_path / "main.yaml"
    text = "kind: Secret\napiVersion: v1\nmetadata: {name: main-credentials}\nstringData: {api-key: '1'}\n---\n"
    file.write_text(
        f"{text}apiVersion: {naming.API_VERSION}\nkind: {naming.KIND}\nmetadata: {{name: main}}\nspec: {{}}\n"
    )
    theirs: JsonObject = {"metadata": {"name": "main-credentials"}, "stringData": {"mine": "1"}}
    api_server.call("POST", path_of("v1", "Secret", namespace), theirs)
    refused = await person("import", "-f", str(file))
    assert (refused.code, "Secret main-credentials exists" in refused.stderr) == (2, True)
    assert (await person("get", "-o", "name")).out == ""
    assert set(object_at(secret(api_server, namespace, "main-credentials"), "data")) == {"mine"}


async def test_a_missing_secret_is_named(api_server: ApiServer, namespace: str, tmp_path: Path) -> None:
    """A file without it would be no backup."""
    person = Person(api_server, namespace)
    person.create("main", **SPEC)
    file = tmp_path / "main.yaml"
    refused = await person("export", "--secrets", "all", "-f", str(file))
    assert (refused.code, "Secret backend lacks hook" in refused.stderr) == (2, True)
    with pytest.raises(FileNotFoundError):
        documents_of(file.read_text())
