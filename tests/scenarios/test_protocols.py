"""Scenario of one channel whose subscribers use different protocols."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.api import Publisher, ServerApi, publishing
from tests.kit.deadline import eventually
from tests.kit.document import text_at, whole_at
from tests.kit.protocol_clients import PROTOCOLS, RoomClient, room_clients, users_in
from tests.kit.running_cluster import RunningCluster, available_servers, manifest, wait_for_servers

ROOM = "story"
CHANNEL = f"chat:{ROOM}"
SECONDS = 60
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


@dataclass(frozen=True, slots=True)
class Story:
    """Clients of all protocols in one room, and a backend that publishes there at a steady rate."""

    cluster: RunningCluster
    clients: Mapping[str, RoomClient]
    backend: Publisher

    async def all_get(self, number: int) -> None:
        """Wait until every client has a publication of the backend that is not before this number."""

        async def last() -> dict[str, int]:
            return {user: max(numbers_of(client), default=0) for user, client in self.clients.items()}

        await eventually(last, lambda found: min(found.values()) >= number, what=f"number {number}", within=SECONDS)

    async def all_get_what_each_publishes(self, act: str) -> None:
        """Let every client publish; everybody gets it, with what the backend publishes from now on."""
        wanted = sorted(f"{user} {act}" for user in self.clients)
        for user, client in self.clients.items():
            await client.publish({"greeting": f"{user} {act}"})

        async def greetings() -> list[list[str]]:
            return [sorted(greetings_of(client, act)) for client in self.clients.values()]

        await eventually(greetings, lambda f: all({*wanted} <= {*one} for one in f), what=act, within=SECONDS)
        await self.all_get(self.backend.sequence + 1)  # later than what could be delivered a second time
        assert await greetings() == [wanted] * len(self.clients)

    async def all_leave(self, servers: Collection[str]) -> None:
        """Wait until all clients are on other servers, and get what is published there."""

        async def elsewhere() -> int:
            found = await self.cluster.connections()
            return sum(count for name, count in found.items() if name not in servers)

        await eventually(elsewhere, lambda n: n == len(self.clients), what="all have come back", within=SECONDS)
        await self.all_get(self.backend.sequence + 1)

    def assert_exact(self) -> None:
        """Assert that nothing arrived twice, and that who can recover has got everything."""
        confirmed = {one.sequence for one in self.backend.published}
        for user, client in self.clients.items():
            numbers = numbers_of(client)
            assert numbers == sorted({*numbers}), f"{user}: twice, or out of order"
            missed = confirmed - {*numbers}
            if client.recovers:
                assert client.recoveries, f"{user} has never come back"
                assert all(client.recoveries), f"{user}: {client.recoveries}"
                assert not missed, f"{user} has missed {sorted(missed)}"


def numbers_of(client: RoomClient) -> Sequence[int]:
    """Return the numbers of the backend's publications that a client got."""
    return [whole_at(data, "sequence") for data in client.received if "sequence" in data]


def greetings_of(client: RoomClient, act: str) -> list[str]:
    """Return the greetings of an act that a client got."""
    found = [text_at(data, "greeting") for data in client.received]
    return [greeting for greeting in found if greeting.endswith(f" {act}")]


async def kill_servers(cluster: RunningCluster, names: Sequence[str]) -> None:
    """Kill servers, each when all but it are available."""
    for killed, name in enumerate(names, start=1):
        await cluster.kill_server(name)
        gone = {*names[:killed]}
        await wait_for_servers(
            cluster,
            lambda now, gone=gone: sum(s.available for s in now if s.name not in gone) == len(names),  # type: ignore[misc]
            what=f"others instead of {gone}",
            within=SECONDS,
        )


async def tell(story: Story, api: ServerApi) -> None:
    """Kill all servers, one after another, and then restart them; after each of that everyone is there again."""
    await story.all_get(1)
    await story.all_get_what_each_publishes("at first")

    old = [server.name for server in await available_servers(story.cluster)]
    await kill_servers(story.cluster, old)
    await story.all_leave(old)
    await story.cluster.wait_ready()
    await story.all_get_what_each_publishes("after failures")

    old = [server.name for server in await available_servers(story.cluster)]
    await story.cluster.patch(pod={"annotations": {RESTARTED_AT: datetime.now(UTC).isoformat()}})
    await story.cluster.wait_ready()
    await story.all_leave(old)
    await story.all_get_what_each_publishes("after a restart")
    assert {*await users_in(api, ROOM)} == {*story.clients}

    await story.backend.stop()
    await story.all_get(story.backend.published[-1].sequence)
    story.assert_exact()


async def test_clients_of_all_protocols_share_a_channel_through_failures_and_rollouts(cluster: RunningCluster) -> None:
    """Everyone gets what anyone publishes, once; all come back after servers were killed, and in a restart."""
    drain: JsonObject = {"connectionsPerSecond": 20, "settle": "1s"}
    rollout = {"maxSurge": "100%", "maxUnavailable": 0, "drain": drain}
    await cluster.apply(manifest("main", replicas=2, protocols=PROTOCOLS, rollout=rollout))
    await cluster.wait_ready()
    origin = (await cluster.url()).removesuffix(naming.CLIENT_PATH)
    secret = await cluster.credential(naming.KEY_TOKEN_SECRET)
    async with room_clients(origin, secret, ROOM) as clients, await cluster.api() as api:
        await eventually(lambda: users_in(api, ROOM), lambda f: f == sorted(clients), what="all", within=SECONDS)
        async with publishing(api, CHANNEL, per_second=20) as backend:
            await tell(Story(cluster, clients, backend), api)
