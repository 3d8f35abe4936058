"""Scenario of a rotation of the generated credentials: nobody is refused."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from realtime_operator import naming
from realtime_operator.planning.credentials.rotation import GRACE, PROPAGATION, Phase, Rotation, read_rotation
from tests.kit.api import ApiError, ServerApi
from tests.kit.clients import ClientOptions, all_connected
from tests.kit.deadline import eventually
from tests.kit.document import dig, text_at
from tests.kit.kube import condition
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.running_cluster import manifest
from tests.kit.sdk import JavaScriptClients

KUBELET_SECONDS = 120
"""Upper bound of the seconds until the files in pods follow a Secret."""


async def rotation_of(cluster: LiveCluster) -> Rotation | None:
    """Return the state of the rotation."""
    return read_rotation(await cluster.kube.get("secrets", naming.credentials_secret(cluster.name)))


async def backdate(cluster: LiveCluster, by: timedelta) -> None:
    """Let the last step be older, so that the next one is due."""
    state = await rotation_of(cluster)
    assert state is not None
    older = Rotation(state.request, state.phase, datetime.now(UTC) - by - timedelta(seconds=1))
    secret = naming.credentials_secret(cluster.name)
    text = f"{naming.ANNOTATION_ROTATION}={older.annotation()}"
    await cluster.kube.kubectl("annotate", "--overwrite", "secret", secret, text)


async def reaches(cluster: LiveCluster, phase: Phase) -> None:
    """Wait for a step of the rotation."""
    await eventually(
        lambda: rotation_of(cluster),
        lambda state: state is not None and state.phase is phase,
        what=f"the rotation is {phase}",
        within=60,
    )


async def accepts_everywhere(cluster: LiveCluster, key: str) -> bool:
    """Return True when every server accepts an API key."""
    for pod in await cluster.pods():
        address = f"http://{text_at(pod, 'status', 'podIP')}:{naming.PORT_API}"
        async with ServerApi(address, key) as api:
            try:
                await api.call("info")
            except ApiError as error:
                if error.status == 401:
                    return False
                raise
    return True


@contextlib.asynccontextmanager
async def backend(cluster: LiveCluster) -> AsyncIterator[list[str]]:
    """Publish with the key of the Secret as it is now, again and again; yields the failures so far."""
    failures: list[str] = []
    address = await cluster.address(naming.api_service(cluster.name), naming.PORT_NAME_API)

    async def run() -> None:
        while True:
            async with ServerApi(f"http://{address}", await cluster.credential(naming.KEY_API)) as api:
                try:
                    await api.call("publish", channel="chat:lobby", data={"text": "hello"})
                except ApiError as error:
                    failures.append(str(error))
            await asyncio.sleep(0.1)

    task = asyncio.create_task(run())
    try:
        yield failures
        assert not task.done(), "the backend has stopped"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.timeout(400)
async def test_credentials_rotate_without_a_gap(scenario: Scenario) -> None:
    """A backend that reads the Secret before each call is never refused, and neither is one with the former key."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=2))
    await cluster.wait_ready(within=120)
    keys = (naming.KEY_ADMIN_TOKEN, naming.KEY_API, naming.KEY_TOKEN_SECRET)
    former = {key: await cluster.credential(key) for key in keys}
    former_token = await cluster.token("alice")
    async with backend(cluster) as failures:
        await scenario.kube.kubectl("annotate", "rtc", "main", f"{naming.ANNOTATION_ROTATE}=now")
        await reaches(cluster, Phase.PREPARED)
        coming = await cluster.credential(naming.alternate(naming.KEY_API))
        await eventually(
            lambda: accepts_everywhere(cluster, coming), bool, what="all servers have read it", within=KUBELET_SECONDS
        )
        assert {key: await cluster.credential(key) for key in keys} == former
        await backdate(cluster, PROPAGATION)
        await reaches(cluster, Phase.EXCHANGED)
        assert await cluster.credential(naming.KEY_API) == coming
        assert not set(former.values()) & {await cluster.credential(key) for key in keys}
        assert await accepts_everywhere(cluster, coming)
        assert await accepts_everywhere(cluster, former[naming.KEY_API])
        tokens = [former_token, await cluster.token("alice")]
        async with JavaScriptClients(ClientOptions(endpoints=[await cluster.url()], count=2, tokens=tokens)) as clients:
            await all_connected(clients)
        stored = await cluster.get()
        assert condition(stored, "CredentialsKept").get("reason") == "Rotating"
        assert dig(stored, "status", "connections") is not None, "the operator reaches the servers"
        await backdate(cluster, GRACE)
        await reaches(cluster, Phase.FINISHED)
        await eventually(
            lambda: accepts_everywhere(cluster, former[naming.KEY_API]),
            lambda accepted: not accepted,
            what="the former key is refused",
            within=KUBELET_SECONDS,
        )
        assert await accepts_everywhere(cluster, coming)
        assert failures == []
    assert "CredentialsRotated" in {event.reason for event in await cluster.events()}
    assert "Replaced" not in {event.reason for event in await cluster.events()}
