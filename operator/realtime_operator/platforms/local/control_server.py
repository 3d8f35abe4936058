"""API of a local platform for programs of the same user, on a Unix socket: the part of an API server that they need."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib.metadata import version

from aiohttp import web
from prometheus_client import generate_latest

from realtime_operator.api.document import merge_patch, object_at
from realtime_operator.api.errors import InvalidCluster
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.metrics import Metrics
from realtime_operator.platforms.local.driver import LocalPlatform

ALONE = "spec.replicas: without a redis-server one server with one worker runs alone: more could not reach each other"


class ControlServer:
    """Handlers of the control API. `on_edit` is called after a change."""

    def __init__(self, platform: LocalPlatform, on_edit: Callable[[], None], metrics: Metrics) -> None:
        self._platform = platform
        self._on_edit = on_edit
        self._metrics = metrics

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application()
        router = application.router
        router.add_get("/metrics", self._exposition)
        router.add_get("/v1/platform", self._about)
        router.add_get("/v1/cluster", self._cluster)
        router.add_patch("/v1/cluster", self._patch)
        router.add_get("/v1/events", self._events)
        router.add_get("/v1/servers", self._servers)
        router.add_get("/v1/replicasets", self._replica_sets)
        router.add_post("/v1/servers/{name}/drain", self._drain)
        router.add_get("/v1/secrets/{name}", self._secret)
        return application

    async def _exposition(self, _request: web.Request) -> web.Response:
        """Answer with the operator's metrics, as the operator on Kubernetes does."""
        return web.Response(body=generate_latest(self._metrics.registry), content_type="text/plain", charset="utf-8")

    async def _about(self, _request: web.Request) -> web.Response:
        ports = self._platform.fleet.files.ports
        redis = self._platform.redis
        return web.json_response(
            {
                "pid": os.getpid(),
                "version": version("realtime-operator"),
                "client": ports.client_url,
                "api": ports.api_url,
                "redis": None if redis is None else {"pid": redis.pid, "socket": str(redis.socket)},
            }
        )

    async def _cluster(self, _request: web.Request) -> web.Response:
        return web.json_response(self._platform.store.cluster)

    async def _patch(self, request: web.Request) -> web.Response:
        """Apply a JSON merge patch (RFC 7396) to the spec; answer 422 with one line per problem when it is invalid."""
        try:
            patch = json.loads(await request.read())
        except ValueError as error:
            return web.json_response({"message": f"the body is not JSON: {error}"}, status=400)
        except RecursionError:
            return web.json_response({"message": "the body is nested too deeply"}, status=400)
        store = self._platform.store
        cluster = store.cluster
        if cluster is None or not isinstance(patch, dict):
            return web.json_response({"message": "send an object; there must be a cluster"}, status=400)
        try:
            spec = merge_patch(cluster["spec"], patch.get("spec"))
            wanted = RealtimeCluster.from_object({**cluster, "spec": spec})
        except InvalidCluster as error:
            return web.json_response({"message": "\n".join(map(str, error.findings))}, status=422)
        except RecursionError:
            return web.json_response({"message": "the spec is nested too deeply"}, status=422)
        assert isinstance(spec, dict)  # the models take nothing else
        if self._platform.redis is None and not runs_alone(wanted):
            return web.json_response({"message": ALONE}, status=422)
        store.set_cluster(str(object_at(cluster, "metadata")["name"]), spec)
        self._on_edit()
        return web.json_response(store.cluster)

    async def _events(self, _request: web.Request) -> web.Response:
        return web.json_response([event.to_object() for event in self._platform.store.events])

    async def _servers(self, _request: web.Request) -> web.Response:
        fleet = self._platform.fleet
        return web.json_response(
            [
                {
                    "name": server.name,
                    "revision": server.revision,
                    "created_at": server.created_at.isoformat(),
                    "serving": server.serving,
                    "terminating": server.terminating,
                    "pid": server.process.pid,
                    "admin_socket": str(server.admin_socket),
                    "log": str(server.process.log),
                }
                for server in fleet.servers
            ]
        )

    async def _replica_sets(self, _request: web.Request) -> web.Response:
        objects = self._platform.store.objects
        return web.json_response([live for key, live in objects.items() if key.kind == "ReplicaSet"])

    async def _drain(self, request: web.Request) -> web.Response:
        """Mark a server for replacement; answer 404 when there is none of the name."""
        server = self._platform.fleet.find(request.match_info["name"])
        if server is None:
            return web.json_response({"message": "there is no such server"}, status=404)
        server.drain_requested = True
        self._on_edit()
        return web.json_response({})

    async def _secret(self, request: web.Request) -> web.Response:
        values = self._platform.store.secret(request.match_info["name"])
        return web.json_response(values, status=200 if values else 404)


def runs_alone(cluster: RealtimeCluster) -> bool:
    """Return True for a cluster that needs no local Redis: at most one worker, or a Redis that is elsewhere."""
    spec = cluster.spec
    few = spec.autoscaling is None and spec.replicas <= 1 and spec.server.workers == 1
    return few or spec.backplane.redis.external is not None


async def serve(server: ControlServer, path: str) -> web.AppRunner:
    """Listen on a Unix socket with mode 0600 until the returned runner is cleaned up."""
    runner = web.AppRunner(server.application(), access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, path).start()
    finally:
        os.umask(before)
    return runner
