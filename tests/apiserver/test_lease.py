"""Tests of the leader election with a Lease of a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.errors import LeaseLostError, PlatformError
from realtime_operator.metrics import Metrics
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of
from realtime_operator.platforms.kubernetes.lease import LeaderElectionSettings, Lease
from tests.kit.apiserver import OPERATOR_USER, ApiServer
from tests.kit.document import dig, text_at

TIMES = LeaderElectionSettings("", "election", "one", duration=2, renew_deadline=1.5, retry=0.2)


def lease_of(client: KubernetesClient, namespace: str, identity: str) -> Lease:
    """Return a process's membership in the election."""
    return Lease(client, replace(TIMES, namespace=namespace, identity=identity))


async def holder(client: KubernetesClient, namespace: str) -> str:
    """Return the holder of the Lease."""
    found = await client.get(path_of("coordination.k8s.io/v1", "Lease", namespace, TIMES.name))
    return text_at(found, "spec", "holderIdentity")


async def test_a_lease_that_is_given_up_is_taken_at_once(operator_client: KubernetesClient, namespace: str) -> None:
    """The successor does not wait for the duration; each change of the holder is counted."""
    first, second = lease_of(operator_client, namespace, "one"), lease_of(operator_client, namespace, "two")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(0.5)
    assert (first.leads, second.leads) == (True, False)
    assert (first.is_led, second.is_led) == (True, True), "whoever waits knows that somebody works"
    assert not lease_of(operator_client, namespace, "three").is_led, "it has not looked yet"
    await first.release()
    await asyncio.wait_for(waiting, 1)
    assert (first.leads, second.leads) == (False, True)
    assert await holder(operator_client, namespace) == "two"
    path = path_of("coordination.k8s.io/v1", "Lease", namespace, TIMES.name)
    assert dig(await operator_client.get(path), "spec", "leaseTransitions") == 3, "one, nobody, two"


async def test_a_silent_holder_is_succeeded_after_the_duration(
    operator_client: KubernetesClient, namespace: str
) -> None:
    """The former holder has stopped leading by then, and raises an error when it continues."""
    first, second = lease_of(operator_client, namespace, "one"), lease_of(operator_client, namespace, "two")
    await first.acquire()
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(second.acquire(), 10)
    assert asyncio.get_running_loop().time() - began > TIMES.duration
    assert not first.leads
    with pytest.raises(LeaseLostError):
        await first.hold()


async def test_a_renewal_is_one_request(api_server: ApiServer, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Lease is not read before it is written, as no other process may have written it."""
    monkeypatch.setenv("KUBECONFIG", str(api_server.kubeconfig(OPERATOR_USER)))
    metrics = Metrics()
    client = await KubernetesClient.connect(metrics)
    try:
        lease = lease_of(client, namespace, "one")
        await lease.acquire()
        holding = asyncio.create_task(lease.hold())
        await asyncio.sleep(3 * TIMES.duration)
        assert lease.leads
        holding.cancel()
        reads = metrics.registry.get_sample_value(
            "realtime_operator_api_requests_total", {"verb": "GET", "code": "404"}
        )
        writes = metrics.registry.get_sample_value(
            "realtime_operator_api_requests_total", {"verb": "PUT", "code": "200"}
        )
        assert reads == 1
        assert writes is not None
        assert writes > TIMES.duration / TIMES.retry
        assert not metrics.registry.get_sample_value(
            "realtime_operator_api_requests_total", {"verb": "GET", "code": "200"}
        )
    finally:
        await client.close()


async def test_a_lease_that_somebody_took_is_lost_at_the_next_renewal(
    operator_client: KubernetesClient, api_server: ApiServer, namespace: str
) -> None:
    """The holder does not wait for the renew deadline."""
    lease = lease_of(operator_client, namespace, "one")
    await lease.acquire()
    path = path_of("coordination.k8s.io/v1", "Lease", namespace, TIMES.name)
    api_server.call("PATCH", path, {"spec": {"holderIdentity": "two"}})
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(lease.hold(), 2 * TIMES.retry)


@pytest.fixture
def paused_later(api_server: ApiServer) -> Iterator[ApiServer]:
    """The API server, which is resumed after the test."""
    yield api_server
    api_server.resume()


async def test_who_cannot_renew_stops_to_lead_before_another_one_may_begin(
    operator_client: KubernetesClient, namespace: str, paused_later: ApiServer
) -> None:
    """The API server does not answer; the holder stops within the renew deadline."""
    lease = lease_of(operator_client, namespace, "one")
    await lease.acquire()
    paused_later.pause()
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(lease.hold(), TIMES.duration)
    paused_later.resume()
    successor = lease_of(operator_client, namespace, "two")
    await asyncio.wait_for(successor.acquire(), 10)
    assert successor.leads


async def test_a_renewal_that_hangs_is_tried_again_in_time(
    operator_client: KubernetesClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request without an answer does not cost the Lease."""
    lease = lease_of(operator_client, namespace, "one")
    await lease.acquire()
    replace_object, hung = operator_client.replace, asyncio.Event()

    async def hang_once(path: str, document: JsonObject) -> JsonObject:
        if not hung.is_set():
            hung.set()
            await asyncio.Event().wait()
        return await replace_object(path, document)

    monkeypatch.setattr(operator_client, "replace", hang_once)
    holding = asyncio.create_task(lease.hold())
    await hung.wait()
    await asyncio.sleep(2 * TIMES.duration)
    assert not holding.done()
    assert lease.leads
    holding.cancel()


async def test_a_missing_permission_is_waited_for(
    api_server: ApiServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without the permission to write the Lease never leads, and keeps trying."""
    api_server.grant(f"nobody-{namespace}", [], namespace)
    monkeypatch.setenv("KUBECONFIG", str(api_server.kubeconfig(f"nobody-{namespace}")))
    client = await KubernetesClient.connect(Metrics())
    try:
        lease = lease_of(client, namespace, "nobody")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lease.acquire(), 1)
        assert not lease.leads
        assert not lease.is_fresh
        with pytest.raises(PlatformError, match="leases"):
            await holder(client, namespace)
    finally:
        await client.close()


async def test_a_lease_of_somebody_else_is_left_alone(
    api_server: ApiServer, operator_client: KubernetesClient, namespace: str
) -> None:
    """A Lease without a holder is left alone too, as another program may need it."""
    document: JsonObject = {"metadata": {"name": TIMES.name}, "spec": {"leaseDurationSeconds": 1}}
    collection = path_of("coordination.k8s.io/v1", "Lease", namespace)
    theirs = api_server.call("POST", collection, document)
    lease = lease_of(operator_client, namespace, "one")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lease.acquire(), 2)
    assert lease.foreign
    assert api_server.call("GET", f"{collection}/{TIMES.name}") == theirs


async def test_an_annotation_pauses_and_outlives_renewals(
    api_server: ApiServer, operator_client: KubernetesClient, namespace: str
) -> None:
    """The pause is noticed at the next renewal, which keeps the annotation."""
    pauses: list[str | None] = []
    lease = Lease(operator_client, replace(TIMES, namespace=namespace), lambda: pauses.append(lease.paused))
    await lease.acquire()
    path = f"{path_of('coordination.k8s.io/v1', 'Lease', namespace)}/{TIMES.name}"
    holding = asyncio.create_task(lease.hold())
    try:
        for value in ("incident 17", None):
            annotations: JsonObject = {naming.ANNOTATION_PAUSED: value}
            api_server.call("PATCH", path, {"metadata": {"annotations": annotations, "labels": {"team": "x"}}})
            await asyncio.sleep(1)
            assert lease.paused == value
            found = await operator_client.get(path)
            assert dig(found, "metadata", "annotations", naming.ANNOTATION_PAUSED) == value
            assert dig(found, "metadata", "labels", "team") == "x"
    finally:
        holding.cancel()
    assert pauses == ["incident 17", None]
