"""Scenario of a managed Redis with failover, TLS and an exporter, with clients that count every message."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.e2e.test_redis_change import redis_pods
from tests.e2e.test_redis_failover import primary_of, with_failover
from tests.kit.cluster.environment import Environment
from tests.kit.deadline import eventually
from tests.kit.document import text_at
from tests.kit.kube import name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.redis_answer import TrustedHost
from tests.kit.running_cluster import manifest
from tests.kit.traffic import finish, traffic

SECRET = naming.redis_certificate("main")
RENEWED_SECONDS = 100
"""The operator looks at Secrets every few seconds. The kubelet gives a changed one to a pod within a minute or two; an
annotation of the pod makes it do so at once."""


async def value_of(scenario: Scenario, key: str) -> bytes:
    """Return a value of the Secret with the certificate."""
    path = key.replace(".", "\\.")
    return base64.b64decode(await scenario.kube.kubectl("get", "secret", SECRET, "-o", f"jsonpath={{.data.{path}}}"))


async def serial_number(scenario: Scenario) -> int:
    """Return the serial number of the certificate in the Secret."""
    return x509.load_pem_x509_certificate(await value_of(scenario, "tls.crt")).serial_number


async def shown(pods: list[JsonObject], authority: Path) -> set[int]:
    """Return the serial numbers of the certificates that Redis shows, each of which must have the pod's name."""
    return set(await asyncio.gather(*(asyncio.to_thread(_shown_by, pod, authority) for pod in pods)))


def _shown_by(pod: JsonObject, authority: Path) -> int:
    namespace = text_at(pod, "metadata", "namespace")
    host = TrustedHost(f"{name_of(pod)}.{naming.redis_nodes('main')}.{namespace}.svc", authority)
    with socket.create_connection(address_of(pod), timeout=5) as connection, host.wrap(connection) as tls:
        found = tls.getpeercert(binary_form=True)
    assert found is not None
    return x509.load_der_x509_certificate(found).serial_number


def address_of(pod: JsonObject) -> tuple[str, int]:
    """Return host and port of the Redis of a pod."""
    return text_at(pod, "status", "podIP"), naming.PORT_REDIS


async def metrics_of(pod: JsonObject) -> str:
    """Return what the exporter of a pod shows to a Prometheus in the pod network."""
    address = f"http://{text_at(pod, 'status', 'podIP')}:{naming.PORT_EXPORTER}/metrics"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        return await answer.text()


@pytest.mark.timeout(300)
async def test_a_certificate_is_renewed_and_the_primary_replaced_without_a_loss(
    scenario: Scenario, environment: Environment, tmp_path: Path
) -> None:
    """Servers trust the certificate that the operator makes; neither another one nor another primary loses anything."""
    cluster, backplane = scenario.cluster(), with_failover(tls={}, exporter={"image": environment.exporter_image})
    await cluster.apply(manifest("main", replicas=1, backplane=backplane))
    await cluster.wait_ready(within=120)
    first = await primary_of(cluster)
    pods, authority, before = await redis_pods(scenario), tmp_path / "ca.crt", await serial_number(scenario)
    authority.write_bytes(await value_of(scenario, "ca.crt"))
    assert await shown(pods, authority) == {before}
    with socket.create_connection(address_of(pods[0]), timeout=5) as connection:
        context = ssl.create_default_context()
        with pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(connection, server_hostname="main-redis")
    for pod in pods:
        assert "\nredis_up 1\n" in await metrics_of(pod), name_of(pod)

    async with traffic(cluster) as running:
        await scenario.kube.kubectl("annotate", "secret", SECRET, f"{naming.ANNOTATION_CERTIFICATE}-")
        renewed = await eventually(
            lambda: serial_number(scenario), lambda number: number != before, what="another certificate", within=60
        )
        await scenario.kube.kubectl("annotate", "pod", "--all", "test/read-secrets=now")
        await eventually(
            lambda: shown(pods, authority),
            lambda numbers: numbers == {renewed},
            what="every Redis shows it",
            within=RENEWED_SECONDS,
        )
        await scenario.kube.delete("pod", first)
        await primary_of(cluster, first)
        await cluster.wait_ready(within=90)
        result = await finish(running, seconds_more=2)
        assert (result.lost, result.duplicated) == (0, 0), result.describe()
        assert all(event.recovered for event in running.recoveries()), running.recoveries()
