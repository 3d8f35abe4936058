"""A controller with its proxy, as processes on this machine, and the objects that select it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.controllers.programs import ControllerPrograms
from tests.kit.deadline import eventually
from tests.kit.redis_process import free_port

ADDRESS = "127.0.0.1"
"""Address that the controllers listen on, and that they report as theirs."""
START_SECONDS = 40
END_SECONDS = 10
GATEWAY_API = "gateway.networking.k8s.io/v1"


class Controller:
    """One controller, and a Gateway `public` for it in `namespace`. Use it as an asynchronous context manager.

    `port` is where clients connect by HTTPS. A Gateway has its listeners at `listener_port` and `passthrough`; clients
    reach the second one at `passthrough_port`.
    """

    name: ClassVar[str]
    """Name of its classes."""
    version: ClassVar[str]
    gateway_controller: ClassVar[str]
    ingress_controller: ClassVar[str]

    def __init__(self, programs: ControllerPrograms, kubeconfig: Path, folder: Path, namespace: str) -> None:
        self.programs = programs
        self.namespace = namespace
        self.kubeconfig = kubeconfig
        self.folder = folder
        self.port, self.passthrough_port = free_port(), free_port()
        self._processes: list[asyncio.subprocess.Process] = []

    @property
    def listener_port(self) -> int:
        """Port of the Gateway's HTTPS listener, by which the controller knows where to listen."""
        return self.port

    @property
    def passthrough(self) -> int:
        """Port of the Gateway's TLS listener."""
        return self.passthrough_port

    @property
    def url(self) -> str:
        """URL for clients."""
        return f"wss://localhost:{self.port}/connection/websocket"

    async def commands(self) -> Mapping[str, Sequence[str]]:
        """Write configurations; return the command lines by the names of their logs."""
        raise NotImplementedError

    async def ways(self) -> list[JsonObject]:
        """Return the proxy's routes for HTTP to servers, from its running configuration."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        """Start the processes."""
        self.folder.mkdir(exist_ok=True)
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.folder)}
        for name, command in (await self.commands()).items():
            with (self.folder / f"{name}.log").open("wb") as log:
                process = await asyncio.create_subprocess_exec(
                    "setpriv", "--pdeathsig", "KILL", *command, env=environment, stdout=log, stderr=log
                )
            self._processes.append(process)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the processes, and print the ends of their logs, which are shown when the test fails."""
        for process in self._processes:
            if process.returncode is None:
                process.kill()
        for process in self._processes:
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        for log in sorted(self.folder.glob("*.log")):
            print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-40:], sep="\n")

    async def routed(self) -> list[JsonObject]:
        """Wait until the proxy has a route to servers; return all."""
        return await eventually(self.ways, bool, what=f"a route of {self.name}", within=START_SECONDS)

    def classes(self) -> list[JsonObject]:
        """Return the IngressClass and the GatewayClass."""
        metadata: JsonObject = {"name": self.name}
        ingress: JsonObject = {"controller": self.ingress_controller}
        gateway: JsonObject = {"controllerName": self.gateway_controller}
        return [
            {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": metadata, "spec": ingress},
            {"apiVersion": GATEWAY_API, "kind": "GatewayClass", "metadata": metadata, "spec": gateway},
        ]

    def gateway(self, certificate: str, *, routes_from: str = "All") -> JsonObject:
        """Return the Gateway with an HTTPS listener (`https`) and one that passes TLS on (`tls`)."""
        allowed: JsonObject = {"namespaces": {"from": routes_from}}
        references: list[JsonValue] = [{"name": certificate}]
        https: JsonObject = {
            "name": "https", "protocol": "HTTPS", "port": self.listener_port, "allowedRoutes": allowed,
            "tls": {"mode": "Terminate", "certificateRefs": references},
        }  # fmt: skip
        tls: JsonObject = {
            "name": "tls", "protocol": "TLS", "port": self.passthrough, "allowedRoutes": allowed,
            "tls": {"mode": "Passthrough"},
        }  # fmt: skip
        return {
            "apiVersion": GATEWAY_API,
            "kind": "Gateway",
            "metadata": {"name": "public", "namespace": self.namespace},
            "spec": {"gatewayClassName": self.name, "listeners": [https, tls]},
        }
