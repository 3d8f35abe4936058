"""Traefik, which serves Ingresses and Gateways in one process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import aiohttp
import yaml

from realtime_operator.api.base import JsonObject
from tests.kit.controllers.controller import ADDRESS, Controller
from tests.kit.controllers.programs import TRAEFIK_VERSION
from tests.kit.document import objects_at, parse, text_at
from tests.kit.redis_process import free_port


class Traefik(Controller):
    """Traefik with its defaults: only addresses, providers and the class are set."""

    name = "traefik"
    version = f"Traefik {TRAEFIK_VERSION}"
    gateway_controller = "traefik.io/gateway-controller"
    ingress_controller = "traefik.io/ingress-controller"

    async def commands(self) -> Mapping[str, Sequence[str]]:
        """See Controller."""
        self._admin = free_port()
        configuration = {
            "entryPoints": {
                "web": {"address": f"{ADDRESS}:{free_port()}"},
                "websecure": {"address": f"{ADDRESS}:{self.port}"},
                "passthrough": {"address": f"{ADDRESS}:{self.passthrough_port}"},
                "traefik": {"address": f"{ADDRESS}:{self._admin}"},
            },
            "providers": {
                "kubernetesIngress": {"ingressClass": self.name, "ingressEndpoint": {"ip": ADDRESS}},
                "kubernetesGateway": {"experimentalChannel": True, "statusAddress": {"ip": ADDRESS}},
            },
            "api": {"insecure": True, "dashboard": False},  # its pages are not part of the module
        }
        file = self.folder / "traefik.yaml"
        file.write_text(yaml.safe_dump(configuration))
        return {"traefik": [str(self.programs.traefik), f"--configFile={file}"]}

    async def ways(self) -> list[JsonObject]:
        """Return the routers of the providers for Kubernetes."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://{ADDRESS}:{self._admin}/api/http/routers") as answer,
            ):
                if answer.status != 200:
                    return []  # it listens before it knows its own API
                routers = objects_at({"routers": json.loads(await answer.read())}, "routers")
        except aiohttp.ClientError:
            return []
        return [parse(json.dumps(each)) for each in routers if text_at(each, "provider").startswith("kubernetes")]
