"""Tests of the control API."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from realtime_operator.metrics import Metrics
from realtime_operator.planning.model.plan import EmitEvent, EventType
from realtime_operator.platforms.local.control_server import ControlServer, serve
from realtime_operator.platforms.local.driver import LocalPlatform
from realtime_operator.platforms.local.fleet import Fleet
from realtime_operator.platforms.local.object_store import ObjectStore
from realtime_operator.platforms.local.process import Process
from realtime_operator.platforms.local.redis import LocalRedis
from realtime_operator.platforms.local.server import LocalServer
from realtime_operator.platforms.local.server_files import Ports, ServerFiles
from realtime_operator.platforms.local.state_folder import StateFolder
from realtime_operator.pods.admin_client import AdminClient
from tests.kit.refusals import REFUSALS, Refusal


@dataclass
class Site:
    """A platform whose servers do not run, and the edits that were reported."""

    store: ObjectStore
    fleet: Fleet
    session: aiohttp.ClientSession
    socket: Path
    edits: list[str] = field(default_factory=list)

    async def get(self, path: str) -> tuple[int, object]:
        """GET a path; return status and document."""
        async with self.session.get(f"/v1/{path}") as response:
            return response.status, await response.json()

    async def patch(self, body: str) -> tuple[int, dict[str, object]]:
        """PATCH the cluster."""
        async with self.session.patch("/v1/cluster", data=body) as response:
            return response.status, await response.json()


@pytest.fixture
async def site(folder: StateFolder) -> AsyncIterator[Site]:
    """A platform with one cluster `chat` on a Unix socket."""
    store = ObjectStore(folder.secrets)
    store.set_cluster("chat", {"replicas": 2, "server": {"workers": 2}})
    files = ServerFiles(folder, store, Ports(), None)
    fleet = Fleet(folder, store, files, lambda: None)
    platform = LocalPlatform(store, fleet, AdminClient(), None, lambda _: None)
    edits: list[str] = []
    runner = await serve(ControlServer(platform, lambda: edits.append("edited"), Metrics()), str(folder.control))
    connector = aiohttp.UnixConnector(str(folder.control))
    async with aiohttp.ClientSession("http://control", connector=connector) as session:
        yield Site(store, fleet, session, folder.control, edits)
    await runner.cleanup()


async def test_only_its_owner_may_open_the_socket(site: Site) -> None:
    """The socket has mode 0600."""
    assert stat.S_IMODE(site.socket.stat().st_mode) == 0o600


async def test_a_prometheus_of_the_same_user_can_read_the_metrics(site: Site) -> None:
    """They are those of the operator on Kubernetes."""
    async with site.session.get("/metrics") as response:
        assert (response.status, response.content_type) == (200, "text/plain")
        assert "# TYPE realtime_operator_condition gauge" in await response.text()


async def test_everything_can_be_asked_for(site: Site) -> None:
    """Platform, cluster, servers, events and Secrets are readable; unknown names are not found."""
    site.store.put_secret("keys", {"a": "b"})
    site.store.record_event(EmitEvent(EventType.WARNING, "Reason", "message"))
    status, about = await site.get("platform")
    assert status == 200
    assert isinstance(about, dict)
    assert about["client"] == "ws://127.0.0.1:8000/connection/websocket"
    assert about["redis"] is None
    assert (await site.get("cluster"))[1] == site.store.cluster
    assert await site.get("servers") == (200, [])
    events = (await site.get("events"))[1]
    assert isinstance(events, list)
    assert events[0]["message"] == "message"
    assert await site.get("secrets/keys") == (200, {"a": "b"})
    assert (await site.get("secrets/none"))[0] == 404


@pytest.mark.parametrize("name", ["..", "%2e%2e", "%2e%2e%2flock", "a%2fb", "%00", "A", "a" * 300])
async def test_a_name_that_is_none_is_not_found(site: Site, name: str) -> None:
    """Such a name is neither a path nor an internal error."""
    url = URL(f"http://control/v1/secrets/{name}", encoded=True)
    async with site.session.get(url) as response:
        assert response.status == 404


async def test_a_patch_changes_the_spec_and_wakes_the_platform(site: Site) -> None:
    """Null removes a field; fields that are not named are kept."""
    status, cluster = await site.patch('{"spec": {"replicas": 1, "server": null}}')
    assert (status, cluster["spec"], site.edits) == (200, {"replicas": 1}, ["edited"])


@pytest.mark.parametrize(
    "spec",
    [
        '{"replicas": 2, "server": null}',
        '{"replicas": 1}',
        '{"replicas": 1, "server": null, "autoscaling": {"maxReplicas": 2, "connectionsPerReplica": 1}}',
    ],
)
async def test_without_redis_there_is_one_server_with_one_worker(site: Site, spec: str) -> None:
    """Two servers, two workers and an autoscaler are refused: without Redis they could not reach each other."""
    status, document = await site.patch(f'{{"spec": {spec}}}')
    assert (status, site.edits) == (422, [])
    assert "without a redis-server" in str(document["message"])


async def test_a_patch_that_is_no_text_is_refused(site: Site) -> None:
    """Invalid JSON is answered with 400, whatever the content type."""
    for body, kind in ((b'{"spec": "\xff"}', "application/json"), (b"\xff\xfe\xff", "application/json; charset=none")):
        async with site.session.patch("/v1/cluster", data=body, headers={"Content-Type": kind}) as response:
            assert response.status == 400
            assert "not JSON" in (await response.json())["message"]


@pytest.mark.parametrize("refusal", [refusal for refusal in REFUSALS if refusal.spec], ids=lambda refusal: refusal.path)
async def test_a_patch_says_what_the_api_server_says(site: Site, refusal: Refusal) -> None:
    """Findings have the same field and message as the API server's."""
    site.store.set_cluster("chat", {})
    status, document = await site.patch(json.dumps({"spec": refusal.spec}))
    assert status == 422
    assert refusal.is_said_in(str(document["message"])), document


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("{", 400, "not JSON"),
        ("[" * 100000, 400, "nested too deeply"),
        ('{"spec": ' + '{"a": ' * 900 + "1" + "}" * 901, 422, "nested too deeply"),
        ('{"spec": {"replicas": NaN}}', 422, "spec.replicas"),
        ("[]", 400, "send an object"),
        ("null", 400, "send an object"),
        ('{"spec": 7}', 422, "spec"),
        ('{"spec": {"replicas": -1}}', 422, "spec.replicas: should be greater than or equal to 0"),
        ('{"spec": {"replica": 1}}', 422, "spec.replica: is not a known field"),
    ],
)
async def test_a_patch_that_cannot_be_carried_out_changes_nothing(
    site: Site, body: str, status: int, message: str
) -> None:
    """The answer has the reason."""
    before = site.store.cluster
    answered, document = await site.patch(body)
    assert (answered, site.store.cluster, site.edits) == (status, before, [])
    assert message in str(document["message"])


def add_server(site: Site, name: str = "chat-a-b") -> LocalServer:
    """Add a server without a process."""
    folder = site.fleet.folder
    process = Process(name, folder.log(name), lambda: None)
    made = LocalServer(name, "chat", "a", "chat-a", process, folder.admin_socket(name), datetime.now(UTC))
    site.fleet.servers.append(made)
    return made


async def test_servers_are_listed(site: Site) -> None:
    """The entry has what is needed for debugging: admin socket and log."""
    server = add_server(site)
    assert await site.get("servers") == (
        200,
        [
            {
                "name": "chat-a-b",
                "revision": "a",
                "created_at": server.created_at.isoformat(),
                "serving": True,
                "terminating": False,
                "pid": None,
                "admin_socket": str(site.fleet.folder.run / "a-b.sock"),
                "log": str(site.fleet.folder.logs / "chat-a-b.log"),
            }
        ],
    )


async def test_a_server_is_marked_to_be_replaced(site: Site) -> None:
    """Only that server is marked, and the platform reconciles."""
    first, second = add_server(site), add_server(site, "chat-a-c")
    async with site.session.post(f"/v1/servers/{first.name}/drain", json={}) as response:
        assert response.status == 200
    assert (first.drain_requested, second.drain_requested, site.edits) == (True, False, ["edited"])


async def test_without_a_cluster_there_is_nothing_to_change(site: Site) -> None:
    site.store.cluster = None
    assert await site.get("cluster") == (200, None)
    assert (await site.patch('{"spec": {}}'))[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "nothing", 404), ("DELETE", "cluster", 405), ("PUT", "secrets/keys", 405)]
)
async def test_nothing_else_is_answered(site: Site, method: str, path: str, status: int) -> None:
    """Secrets are read-only, and a cluster cannot be removed."""
    async with site.session.request(method, f"/v1/{path}") as response:
        assert response.status == status


async def test_a_socket_that_an_earlier_run_left_is_replaced(folder: StateFolder) -> None:
    """A killed process leaves its socket."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder.control))
    store = ObjectStore(folder.secrets)
    fleet = Fleet(folder, store, ServerFiles(folder, store, Ports(), None), lambda: None)
    redis = LocalRedis(folder, Path("/bin/false"), lambda: None)
    platform = LocalPlatform(store, fleet, AdminClient(), redis, lambda _: None)
    runner = await serve(ControlServer(platform, lambda: None, Metrics()), str(folder.control))
    connector = aiohttp.UnixConnector(str(folder.control))
    async with (
        aiohttp.ClientSession("http://control", connector=connector) as session,
        session.get("/v1/platform") as response,
    ):
        about = await response.json()
    await runner.cleanup()
    assert (about["pid"], about["redis"]) == (os.getpid(), {"pid": None, "socket": str(redis.socket)})


async def test_a_server_that_is_not_there_cannot_be_drained(site: Site) -> None:
    async with site.session.post("/v1/servers/none/drain", json={}) as response:
        assert response.status == 404
