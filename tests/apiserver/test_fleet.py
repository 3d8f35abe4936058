"""Tests of an operator's upgrade with a fleet of clusters that follow its defaults, with an API server.

There are no controllers and no kubelet: a rollout lasts until the test makes the pod of its new revision.
"""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import object_at
from realtime_operator.platforms.kubernetes.client import path_of
from tests.kit.apiserver import ApiServer
from tests.kit.deadline import eventually, stays
from tests.kit.document import objects_at, text_at
from tests.kit.operator_process import OperatorProcess

PRIORITIES = {"a": 0, "b": 10, "c": 5}
NEXT = "localhost/server:next"
States = dict[str, str]


class Fleet:
    """Three clusters in a namespace, each with its priority."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._server, self._namespace = server, namespace
        for name, priority in PRIORITIES.items():
            annotations: JsonObject = {naming.ANNOTATION_ROLLOUT_PRIORITY: str(priority)}
            document: JsonObject = {
                "apiVersion": naming.API_VERSION,
                "kind": naming.KIND,
                "metadata": {"name": name, "annotations": annotations},
                "spec": {"replicas": 0, "rollout": {"operatorDefaults": "Follow"}},
            }
            server.call("POST", path_of(naming.API_VERSION, naming.KIND, namespace), document)

    def operator(self, **settings: object) -> OperatorProcess:
        """Return an operator of this namespace."""
        times = {"resync_seconds": 1, "poll_seconds": 0.2}
        return OperatorProcess(
            self._server, self._namespace, watch_namespaces=self._namespace, **{**times, **settings}
        )  # fmt: skip

    def get(self, name: str) -> JsonObject:
        """Return a stored cluster."""
        return self._server.call("GET", path_of(naming.API_VERSION, naming.KIND, self._namespace, name))

    def change(self, name: str, **spec: JsonValue) -> None:
        """Change fields of a spec."""
        path = path_of(naming.API_VERSION, naming.KIND, self._namespace, name)
        self._server.call("PATCH", path, {"spec": {**spec}})

    async def made(self) -> set[str]:
        """Return the clusters that have a ReplicaSet."""
        sets = objects_at(self._server.call("GET", path_of("apps/v1", "ReplicaSet", self._namespace)), "items")
        return {text_at(live, "metadata", "labels", naming.LABEL_CLUSTER) for live in sets}

    async def slots(self) -> States:
        """Return the state of each cluster's slot."""
        return {name: text_at(self.get(name), "status", "rolloutSlot", "state") for name in PRIORITIES}

    async def waiting(self) -> JsonObject:
        """Return what the cluster `a` is told about those before it."""
        slot = object_at(self.get("a"), "status", "rolloutSlot")
        return {name: slot.get(name) for name in ("position", "heldBy")}

    async def rolled(self) -> set[str]:
        """Return the clusters that have a ReplicaSet with the next image."""
        sets = objects_at(self._server.call("GET", path_of("apps/v1", "ReplicaSet", self._namespace)), "items")
        return {text_at(s, "metadata", "labels", naming.LABEL_CLUSTER) for s in sets if NEXT in str(s)}

    def finish(self, name: str) -> None:
        """Make the pod of the new revision, as its controller and a kubelet do."""
        revision = text_at(self.get(name), "status", "targetRevision")
        path = path_of("apps/v1", "ReplicaSet", self._namespace, naming.revision_object(name, revision))
        replica_set = self._server.call("GET", path)
        owner: JsonObject = {
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True,
            "name": text_at(replica_set, "metadata", "name"), "uid": text_at(replica_set, "metadata", "uid"),
        }  # fmt: skip
        labels = object_at(replica_set, "spec", "template", "metadata", "labels")
        pod: JsonObject = {
            "metadata": {"name": f"{name}-new", "labels": labels, "ownerReferences": [owner]},
            "spec": {"containers": [{"name": "server", "image": NEXT}]},
        }
        made = self._server.call("POST", path_of("v1", "Pod", self._namespace), pod)
        ready: JsonObject = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-29T00:00:00Z"}
        status: JsonObject = {"phase": "Running", "conditions": [ready]}
        self._server.call(
            "PUT", path_of("v1", "Pod", self._namespace, f"{name}-new", "status"), {**made, "status": status}
        )


async def test_an_upgrade_rolls_one_cluster_after_another_by_priority(api_server: ApiServer, namespace: str) -> None:
    """Also when the operator is restarted in the middle; the others are told who is before them."""
    fleet = Fleet(api_server, namespace)
    async with fleet.operator():
        await eventually(fleet.made, lambda found: found == PRIORITIES.keys(), what="first revisions", within=30)
    for name in PRIORITIES:
        fleet.change(name, replicas=1)

    async with fleet.operator(server_image=NEXT):
        expected = {"a": "WaitingForSlot", "b": "Held", "c": "WaitingForSlot"}
        await eventually(fleet.slots, lambda found: found == expected, what="b is first", within=40)
        assert await fleet.rolled() == {"b"}

    async with fleet.operator(server_image=NEXT) as operator:
        await operator.wait_ready()
        await stays(fleet.rolled, lambda found: found == {"b"}, what="b alone, after a restart", during=4)
        told: JsonObject = {"position": 2, "heldBy": [f"{namespace}/b"]}
        await eventually(fleet.waiting, lambda found: found == told, what="a is told who is before it", within=20)

        fleet.finish("b")
        expected = {"a": "WaitingForSlot", "b": "", "c": "Held"}
        await eventually(fleet.slots, lambda found: found == expected, what="c is next", within=40)
        assert await fleet.rolled() == {"b", "c"}

        fleet.finish("c")
        await eventually(fleet.slots, lambda found: found["a"] == "Held", what="a is last", within=40)
        fleet.finish("a")
        await eventually(fleet.slots, lambda found: not any(found.values()), what="all are done", within=40)
        assert [text_at(fleet.get(name), "status", "madeWith", "serverImage") for name in PRIORITIES] == [NEXT] * 3
        assert "Traceback" not in operator.log()


async def test_a_pause_lets_the_next_cluster_begin(api_server: ApiServer, namespace: str) -> None:
    """Its own rollout is where it was, and takes up no slot."""
    fleet = Fleet(api_server, namespace)
    async with fleet.operator():
        await eventually(fleet.made, lambda found: found == PRIORITIES.keys(), what="first revisions", within=30)
    for name in PRIORITIES:
        fleet.change(name, replicas=1)
    async with fleet.operator(server_image=NEXT):
        await eventually(fleet.slots, lambda found: found["b"] == "Held", what="b is first", within=40)
        fleet.change("b", paused=True)
        expected = {"a": "WaitingForSlot", "b": "Released", "c": "Held"}
        await eventually(fleet.slots, lambda found: found == expected, what="c begins", within=40)
