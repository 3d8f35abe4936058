"""What a Prometheus of a test scrapes: a list that it reads by HTTP, and a way to processes behind Unix sockets."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import object_at, objects_at, text_at
from realtime_operator.monitoring.scraping import meta_label
from tests.kit.redis_process import free_port

SCRAPE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Target:
    """Target with its labels; `socket` is the Unix socket behind which it is, `address` HOST:PORT otherwise."""

    labels: dict[str, str]
    address: str = ""
    socket: str = ""


def pod_targets(pod: JsonObject) -> list[Target]:
    """Return a target for each port of a pod, with the labels of Prometheus's discovery that jobs here use."""
    address = text_at(pod, "status", "podIP")
    labels = {
        meta_label(f"pod_label_{name}"): str(value) for name, value in object_at(pod, "metadata", "labels").items()
    }
    labels[meta_label("pod_name")] = text_at(pod, "metadata", "name")
    labels[meta_label("namespace")] = text_at(pod, "metadata", "namespace")
    ports = [port for one in objects_at(pod, "spec", "containers") for port in objects_at(one, "ports")]
    name = meta_label("pod_container_port_name")
    return [
        Target({**labels, name: text_at(port, "name")}, f"{address}:{port['containerPort']}")
        for port in ports
        if address
    ]


Discover = Callable[[], Awaitable[list[Target]]]


@dataclass
class Targets:
    """Changing list of targets. Use `serving`."""

    port: int = field(default_factory=free_port)
    discoveries: list[Discover] = field(default_factory=list)
    _sockets: dict[str, str] = field(default_factory=dict)

    def add(self, discover: Discover) -> None:
        """Add a source of targets, which is asked each time."""
        self.discoveries.append(discover)

    def add_address(self, address: str, **labels: str) -> None:
        """Add one target that never changes."""

        async def discover() -> list[Target]:
            return [Target(labels, address)]

        self.add(discover)

    def configuration(self, interval_seconds: int) -> JsonObject:
        """Return a configuration of Prometheus that scrapes them, with the labels of the PodMonitor."""
        discovery: JsonObject = {"url": f"http://127.0.0.1:{self.port}/targets", "refresh_interval": "2s"}
        interval = f"{interval_seconds}s"
        timeouts: JsonObject = {"scrape_interval": interval, "scrape_timeout": f"{min(interval_seconds, 5)}s"}
        job: JsonObject = {"job_name": "realtime", "honor_labels": True, "http_sd_configs": [discovery]}
        return {"global": timeouts, "scrape_configs": [job]}

    def discovered_by(self, jobs: list[JsonObject]) -> JsonObject:
        """Return a configuration with these jobs, whose pods are found here.

        Debian's Prometheus is built without Kubernetes. `pod_targets` gives pods the labels that its discovery would.
        """
        discovery: JsonObject = {"url": f"http://127.0.0.1:{self.port}/targets", "refresh_interval": "2s"}
        mine: list[JsonValue] = [
            {
                **{key: value for key, value in job.items() if key != "kubernetes_sd_configs"},
                "http_sd_configs": [discovery],
            }
            for job in jobs
        ]
        return {"scrape_configs": mine}

    async def _list(self, _request: web.Request) -> web.Response:
        found: list[JsonValue] = []
        for discover in self.discoveries:
            for target in await discover():
                labels: dict[str, JsonValue] = {**target.labels}
                address = target.address
                if target.socket:
                    name = str(len(self._sockets))
                    name = next((known for known, path in self._sockets.items() if path == target.socket), name)
                    self._sockets[name] = target.socket
                    address, labels["__metrics_path__"] = f"127.0.0.1:{self.port}", f"/through/{name}"
                found.append({"targets": [address], "labels": labels})
        return web.json_response(found)

    async def _through(self, request: web.Request) -> web.Response:
        connector = aiohttp.UnixConnector(self._sockets[request.match_info["name"]])
        timeout = aiohttp.ClientTimeout(total=SCRAPE_SECONDS)
        try:
            async with (
                aiohttp.ClientSession("http://local", connector=connector, timeout=timeout) as session,
                session.get("/metrics") as answer,
            ):
                return web.Response(status=answer.status, text=await answer.text(), content_type="text/plain")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return web.Response(status=502, text=str(error))

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answer Prometheus while the body runs."""
        application = web.Application()
        application.router.add_get("/targets", self._list)
        application.router.add_get("/through/{name}", self._through)
        runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield
        finally:
            await runner.cleanup()
