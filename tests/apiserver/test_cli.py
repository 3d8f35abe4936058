"""Tests of `realtime` with a user's KUBECONFIG, without servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.platforms.kubernetes.client import path_of
from tests.kit.apiserver import ApiServer
from tests.kit.document import dig, parse
from tests.kit.realtime_command import Printed, realtime


class Person:
    """A user with a KUBECONFIG."""

    def __init__(self, server: ApiServer, namespace: str, user: str = "admin") -> None:
        self.server, self.namespace, self._user = server, namespace, user

    async def __call__(self, *arguments: str) -> Printed:
        """Run a command in the namespace."""
        kubeconfig = str(self.server.kubeconfig(self._user))
        return await realtime(*arguments, "--namespace", self.namespace, KUBECONFIG=kubeconfig)

    def create(self, name: str, **spec: object) -> None:
        """Create a RealtimeCluster."""
        document: JsonObject = {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": {"name": name}}
        path = path_of(naming.API_VERSION, naming.KIND, self.namespace)
        self.server.call("POST", path, {**document, "spec": parse(json.dumps(spec))})

    def stored(self, name: str) -> JsonObject:
        """Return the stored RealtimeCluster."""
        return self.server.call("GET", path_of(naming.API_VERSION, naming.KIND, self.namespace, name))


@pytest.fixture
def person(api_server: ApiServer, namespace: str) -> Person:
    """The administrator."""
    return Person(api_server, namespace)


async def test_clusters_are_listed(person: Person) -> None:
    """Output formats are a table, names, and whole objects."""
    person.create("one")
    person.create("two", replicas=3)
    listed = await person("get")
    assert [line.split()[0] for line in listed.out.splitlines()] == ["NAME", "one", "two"]
    named = await person("get", "-o", "name")
    assert named.out.split() == ["realtimecluster.realtime.dev/one", "realtimecluster.realtime.dev/two"]
    whole = await person("get", "two", "-o", "json")
    assert dig(parse(whole.out), "spec", "replicas") == 3


async def test_a_cluster_that_nobody_has_looked_at_is_described(person: Person) -> None:
    """The output has the target, and that the status is unknown."""
    person.create("one")
    shown = await person("status")
    assert shown.code == 0, shown
    assert f"namespace {person.namespace})" in shown.out


async def test_commands_change_the_spec(person: Person) -> None:
    """Fields that commands do not name are kept."""
    person.create("one", replicas=1, paused=False)
    assert (await person("scale", "4")).code == 0
    assert (await person("rollout", "pause")).code == 0
    assert (await person("rollout", "restart")).code == 0
    spec = person.stored("one")["spec"]
    assert (dig(spec, "replicas"), dig(spec, "paused")) == (4, True)
    assert dig(spec, "pod", "annotations", "kubectl.kubernetes.io/restartedAt")


async def test_a_plan_for_a_new_cluster_is_made_without_writing(person: Person, tmp_path: Path) -> None:
    """The API server gets reading requests only."""
    document = {
        "apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": {"name": "new"}, "spec": {"replicas": 2},
    }  # fmt: skip
    file = tmp_path / "new.yaml"
    file.write_text(yaml.safe_dump(document))
    planned = await person("plan", "-f", str(file), "-o", "json")
    assert planned.code == 0, planned
    assert dig(parse(planned.out), "isNewRevision") is True
    assert (await person("get", "-o", "name")).out == ""


async def test_what_is_not_there_is_named(person: Person) -> None:
    """The exit code is right, and the message has advice."""
    nothing = await person("status")
    assert (nothing.code, "has no RealtimeCluster" in nothing.stderr) == (2, True)
    person.create("one")
    other = await person("status", "other")
    assert (other.code, other.out) == (2, "")
    assert "has no cluster other, but one" in other.stderr


async def test_a_change_that_is_not_allowed_is_told_in_the_api_servers_words(
    api_server: ApiServer, namespace: str
) -> None:
    """The message has the missing verb, without a stack trace."""
    user = f"reader-{namespace}"
    rules = [{"apiGroups": [naming.GROUP], "resources": [naming.PLURAL], "verbs": ["get", "list"]}]
    api_server.grant(user, rules, namespace)
    person = Person(api_server, namespace, user)
    person.create("one")
    refused = await person("scale", "4")
    assert refused.code != 0
    assert f'cannot patch resource "{naming.PLURAL}" in API group "{naming.GROUP}"' in refused.stderr


async def test_the_doctor_names_missing_permissions(api_server: ApiServer, namespace: str) -> None:
    """The user may read everything, and neither change objects nor use the proxy."""
    user = f"viewer-{namespace}"
    rules: list[dict[str, list[str]]] = [
        {"apiGroups": [naming.GROUP], "resources": [naming.PLURAL], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods", "secrets", "events"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get", "list"]},
    ]
    api_server.grant(user, rules, namespace)
    person = Person(api_server, namespace, user)
    person.create("one")
    examined = await person("doctor", "-o", "json")
    findings = {finding["check"]: finding for finding in json.loads(examined.out)}
    assert findings["RBAC"]["severity"] == "warning"
    assert findings["RBAC"]["message"] == (
        "you have no permission for: patch realtimeclusters, get pods/proxy, get pods/log, create services/proxy"
    )
    assert findings["clock"]["severity"] == "ok"


async def test_the_doctor_misses_servers(person: Person) -> None:
    """A cluster without servers is no healthy one, unless it asks for none."""
    person.create("one")
    examined = await person("doctor", "-o", "json")
    findings = {finding["check"]: finding for finding in json.loads(examined.out)}
    assert findings["servers"]["severity"] == "error"
    assert findings["servers"]["message"] == "there are none, although the spec asks for some"
    assert (await person("scale", "0")).code == 0
    examined = await person("doctor", "-o", "json")
    findings = {finding["check"]: finding for finding in json.loads(examined.out)}
    assert findings["servers"]["severity"] == "ok"


async def test_a_plan_is_refused_with_the_paths_of_the_pods(person: Person, tmp_path: Path) -> None:
    """What the operator and what the API server would refuse is in the file's terms, before it is applied."""
    file = tmp_path / "chat.yaml"
    metadata: JsonObject = {"name": "chat"}
    for pod, path in (
        ({"volumes": [{"name": "a", "emptydir": {}}]}, "spec.pod.volumes[0].emptydir"),
        ({"template": {"spec": {"terminationGracePeriodSeconds": 1}}}, "spec.pod.template.spec.terminationGracePeriod"),
    ):
        document = {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": metadata, "spec": {"pod": pod}}
        file.write_text(yaml.safe_dump(document))
        planned = await person("plan", "-f", str(file))
        assert planned.code == 2
        assert path in planned.stderr
    file.write_text(yaml.safe_dump({**document, "spec": {"pod": {"volumes": [{"name": "a", "emptyDir": {}}]}}}))
    assert (await person("plan", "-f", str(file))).code == 0


async def test_a_plan_names_secrets_that_do_not_exist(person: Person, tmp_path: Path) -> None:
    """Secrets in the file count, as `kubectl apply` creates them; a user who may not read Secrets is told nothing."""
    spec: JsonObject = {"auth": {"tokens": [{"secretKeyRef": {"name": "tokens", "key": "current"}}]}}
    cluster = {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": {"name": "chat"}, "spec": spec}
    secret: JsonObject = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tokens"}}
    file = tmp_path / "chat.yaml"
    file.write_text(yaml.safe_dump(cluster))
    planned = await person("plan", "-f", str(file))
    assert planned.code == 2
    assert "spec.auth.tokens[0].secretKeyRef: the Secret tokens does not exist" in planned.stderr
    person.server.call("POST", path_of("v1", "Secret", person.namespace), {**secret, "stringData": {"former": "a"}})
    assert (
        "the Secret tokens has no key current; its keys are: former" in (await person("plan", "-f", str(file))).stderr
    )
    rules: list[JsonObject] = [{"apiGroups": [naming.GROUP], "resources": [naming.PLURAL], "verbs": ["get", "list"]}]
    person.server.grant("planner", rules, person.namespace)
    assert (await Person(person.server, person.namespace, "planner")("plan", "-f", str(file))).code == 0
    file.write_text(yaml.safe_dump_all([cluster, {**secret, "stringData": {"current": "a"}}]))
    assert (await person("plan", "-f", str(file))).code == 0


async def test_a_rotation_is_asked_for_by_an_annotation(person: Person) -> None:
    """Each call asks for another one; the spec stays."""
    person.create("one", replicas=1)
    before = person.stored("one")["spec"]
    said = await person("credentials", "rotate")
    assert said.code == 0, said
    assert "a rotation of admin-token, api-key, token-secret is requested" in said.out
    first = dig(person.stored("one"), "metadata", "annotations", naming.ANNOTATION_ROTATE)
    assert (await person("credentials", "rotate", "-c", "one")).code == 0
    assert dig(person.stored("one"), "metadata", "annotations", naming.ANNOTATION_ROTATE) != first
    assert person.stored("one")["spec"] == before
