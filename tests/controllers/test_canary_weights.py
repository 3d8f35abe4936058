"""Scenarios of a canary whose new connections are divided by the weights of an HTTPRoute, behind real gateways."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.controllers.conftest import MakeController
from tests.controllers.test_controllers import (
    CERTIFICATE,
    TRANSPORTS,
    clients_of_all_transports,
    endpoint,
    opened,
    through_gateway,
)
from tests.e2e.test_endpoint import put_tls
from tests.kit.api import publishing
from tests.kit.certificates import Mount
from tests.kit.controllers.contour import ContourGateway
from tests.kit.controllers.controller import Controller
from tests.kit.controllers.traefik import Traefik
from tests.kit.deadline import eventually
from tests.kit.document import dig, objects_at, text_at
from tests.kit.kube import Kube, name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.raw_client import ClosedByServerError, RawClient
from tests.kit.running_cluster import manifest
from tests.kit.traffic import CHANNEL, Traffic, assert_nothing_lost

RESIDENTS = 12
"""Clients of each transport that stay connected."""
CONNECTS, AT_ONCE = 200, 20
SHARES = {10: (2, 25), 45: (30, 60)}
"""Shares in percent, with bounds for the measured ones. In both steps two old servers and a new one serve: a third."""
STEP_SECONDS = 90
FOLLOWED_SECONDS = 60
NEWCOMER_SECONDS = 0.2
LATE_NEWCOMERS = 20


@dataclass(frozen=True, slots=True)
class Entrance:
    """Makes connections to the cluster through a gateway, whose certificate is trusted."""

    cluster: LiveCluster
    url: str
    mount: Mount
    token: str

    async def enter(self) -> ClientConnection:
        """Connect a client; raises OSError, WebSocketException, TimeoutError, ClosedByServerError."""
        connection = await connect(self.url, ssl=self.mount.client(), proxy=None, ping_interval=None)
        await RawClient(connection).connect(self.token)
        return connection

    async def percentage(self, revision: str) -> float:
        """Return the percentage of CONNECTS new connections that a revision gets."""
        before = await self._residents()
        connections: list[ClientConnection] = []
        for _ in range(CONNECTS // AT_ONCE):
            connections += await asyncio.gather(*(self.enter() for _ in range(AT_ONCE)))
        during = await self._connections()
        await asyncio.gather(*(connection.close() for connection in connections))
        await self._residents()
        assert sum(during.values()) == CONNECTS + sum(before.values()), (before, during)
        return 100 * (during.get(revision, 0) - before.get(revision, 0)) / CONNECTS

    async def _residents(self) -> dict[str, int]:
        """Wait until nobody else is connected; return the connections by revision."""
        return await eventually(
            self._connections,
            lambda found: sum(found.values()) == RESIDENTS * len(TRANSPORTS),
            what="only the residents are connected",
            within=FOLLOWED_SECONDS,
        )

    async def _connections(self) -> dict[str, int]:
        """Return the connections by revision."""
        counts, found = await self.cluster.connections(), dict[str, int]()
        for pod in await self.cluster.pods():
            revision = text_at(pod, "metadata", "labels", naming.LABEL_REVISION)
            found[revision] = found.get(revision, 0) + counts[name_of(pod)]
        return found

    @contextlib.asynccontextmanager
    async def open_to_newcomers(self) -> AsyncIterator[None]:
        """Let clients come and go, one after another, while the body runs and shortly after it.

        Fails when one was refused: gateways follow the last change with a delay.
        """
        results: list[str] = []

        async def come() -> int:
            return len(results)

        async def come_and_go() -> None:
            while True:
                try:
                    await (await self.enter()).close()
                    results.append("")
                except (OSError, WebSocketException, ClosedByServerError) as error:
                    results.append(repr(error))
                await asyncio.sleep(NEWCOMER_SECONDS)

        task = asyncio.create_task(come_and_go(), name="newcomers")
        try:
            yield
            already = len(results)
            await eventually(
                come, lambda count: count >= already + LATE_NEWCOMERS, what="newcomers", within=FOLLOWED_SECONDS
            )
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        refused = [error for error in results if error]
        assert refused == [], f"{len(refused)} of {len(results)} newcomers"
        print(f"none of {len(results)} newcomers was refused")


def rollout(share: int, hold: str) -> JsonObject:
    """Return `spec.rollout` with one step."""
    return {
        "maxSurge": 1,
        "maxUnavailable": 0,
        "drain": {"connectionsPerSecond": 20, "settle": "1s"},
        "canary": {"steps": [{"share": f"{share}%", "hold": hold}], "traffic": "Route"},
    }


async def backends(cluster: LiveCluster) -> dict[str, object]:
    """Return the weights of the route by the Service's name."""
    route = await cluster.kube.get("httproutes", naming.route(cluster.name))
    assert route is not None
    (rule,) = objects_at(route, "spec", "rules")
    return {text_at(each, "name"): dig(each, "weight") for each in objects_at(rule, "backendRefs")}


async def assert_divided(entrance: Entrance, share: int, **change: object) -> None:
    """Check that the route gets the share after a change of the spec, and that the gateway follows it."""
    cluster, (least, most) = entrance.cluster, SHARES[share]
    async with entrance.open_to_newcomers():
        await cluster.patch(rollout=rollout(share, "10m"), **change)
        changed = await cluster.wait(
            lambda o: dig(o, "status", "canary", "weight") == share, what=f"weight {share}", within=STEP_SECONDS
        )
    weights = {naming.current_service(cluster.name): 100 - share, naming.canary_service(cluster.name): share}
    assert await backends(cluster) == weights
    revision = text_at(changed, "status", "canary", "revision")
    measured = await eventually(
        lambda: entrance.percentage(revision),
        lambda found: least <= found <= most,
        what=f"{share}% of new connections at the new revision",
        within=FOLLOWED_SECONDS,
    )
    print(f"weight {share}: {measured:g}% of {CONNECTS}")


@pytest.mark.parametrize("kind", [ContourGateway, Traefik])
async def test_weights_divide_new_connections_and_end_no_open_one(
    kind: type[Controller], scenario: Scenario, edge: Kube, make_controller: MakeController, mount: Mount
) -> None:
    """Two shares and an undo end no connection to old servers; then a canary passes, and only drains move clients.

    All the while new clients come, and none is refused.
    """
    controller = await make_controller(kind)
    await put_tls(edge, CERTIFICATE, mount)
    await edge.apply(controller.gateway(CERTIFICATE))
    cluster = scenario.cluster()
    async with controller:
        await cluster.apply(
            manifest("main", replicas=2, endpoint=through_gateway(edge, "https"), rollout=rollout(10, "10m"))
        )
        await endpoint(cluster, "EndpointAvailable")
        await cluster.wait_ready()
        await (await opened(controller.url, mount)).close()
        entrance = Entrance(cluster, controller.url, mount, await cluster.token("newcomer"))
        async with (
            clients_of_all_transports(cluster, controller.url, CHANNEL, each=RESIDENTS) as groups,
            await cluster.api() as api,
            publishing(api, CHANNEL, per_second=20) as publisher,
        ):
            running = Traffic(tuple(groups), publisher)
            await assert_divided(entrance, 10, server={"limits": {"messagesPerSecond": 200}})
            await assert_divided(entrance, 45)
            async with entrance.open_to_newcomers():
                await cluster.patch(server=None)
                await cluster.wait_ready(within=STEP_SECONDS)
                assert running.lost_connections() == [], "by the gateway, as all are connected to servers that stay"
                assert await backends(cluster) == {naming.client_service(cluster.name): 1}
                await cluster.patch(server={"limits": {"messagesPerSecond": 300}}, rollout=rollout(45, "1s"))
                await cluster.wait_ready(within=STEP_SECONDS)
            await assert_nothing_lost(running)
            print(f"{len(running.lost_connections())} clients were moved")
