"""Contour with an Envoy of its own: one that serves Ingresses, and one that serves a Gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aiohttp

from realtime_operator.api.base import JsonObject
from tests.kit.cluster.process import run
from tests.kit.controllers.controller import ADDRESS, Controller
from tests.kit.controllers.programs import CONTOUR_VERSION, ENVOY_VERSION
from tests.kit.document import objects_at, parse, text_at
from tests.kit.redis_process import free_port

SHIFT = 8000
"""Contour lets Envoy listen at the port of a Gateway's listener and this."""
GATEWAY = """
gateway:
  gatewayRef: {name: public, namespace: %s}
"""


class ContourIngress(Controller):
    """Contour without a Gateway."""

    name = "contour"
    version = f"Contour {CONTOUR_VERSION} with Envoy {ENVOY_VERSION}"
    gateway_controller = "projectcontour.io/gateway-controller"
    ingress_controller = "projectcontour.io/ingress-controller"

    async def commands(self) -> Mapping[str, Sequence[str]]:
        """See Controller."""
        xds = ("--xds-address=127.0.0.1", f"--xds-port={free_port()}")
        bootstrap, admin = self.folder / "envoy.json", self.folder / "admin.sock"
        run(self.programs.contour, "bootstrap", *xds, f"--admin-address={admin}", bootstrap)
        contour = [
            str(self.programs.contour), "serve", f"--kubeconfig={self.kubeconfig}", "--insecure", *xds,
            "--disable-leader-election", f"--ingress-class-name={self.name}", f"--ingress-status-address={ADDRESS}",
            *(f"--{service}-address=127.0.0.1" for service in ("stats", "http", "health", "debug-http")),
            *(f"--{service}-port={free_port()}" for service in ("stats", "http", "health", "debug-http")),
            *(f"--envoy-service-{scheme}-address={ADDRESS}" for scheme in ("http", "https")),
            f"--envoy-service-http-port={free_port()}", f"--envoy-service-https-port={self.port}",
            *self.configuration(),
        ]  # fmt: skip
        envoy = [
            str(self.programs.envoy), "-c", str(bootstrap), "--service-cluster", "contour", "--service-node", "envoy",
            "--use-dynamic-base-id", "--concurrency", "1",
        ]  # fmt: skip
        return {"contour": contour, "envoy": envoy}

    def configuration(self) -> Sequence[str]:
        """Return options that select what is served."""
        return ()

    async def ways(self) -> list[JsonObject]:
        """Return the routes of Envoy with the names of their virtual hosts."""
        found = []
        for dump in objects_at(await self._dump(), "configs"):
            for configuration in objects_at(dump, "dynamic_route_configs"):
                for host in objects_at(configuration, "route_config", "virtual_hosts"):
                    found += [{**route, "host": text_at(host, "name")} for route in objects_at(host, "routes")]
        return found

    async def _dump(self) -> JsonObject:
        connector = aiohttp.UnixConnector(str(self.folder / "admin.sock"))
        try:
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.get("http://envoy/config_dump") as answer,
            ):
                return parse(await answer.read())
        except aiohttp.ClientError:
            return {}


class ContourGateway(ContourIngress):
    """Contour for a Gateway; it serves no Ingress then."""

    @property
    def listener_port(self) -> int:
        """See Controller."""
        return self.port - SHIFT

    @property
    def passthrough(self) -> int:
        """See Controller."""
        return self.passthrough_port - SHIFT

    def configuration(self) -> Sequence[str]:
        """See ContourIngress."""
        file = self.folder / "contour.yaml"
        file.write_text(GATEWAY % self.namespace)
        return (f"--config-path={file}",)
