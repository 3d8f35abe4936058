"""A managed Redis with TLS: the programs of its containers, whose certificate is renewed while they run."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from realtime_operator.naming import PORT_REDIS, PORT_SENTINEL
from tests.component.test_redis_failover import writing, written
from tests.kit.redis_answer import ask
from tests.kit.redis_pods import RedisPodProcess, running_pods, wait_settled
from tests.kit.redis_process import wait_until

START_SECONDS = 90.0
RENEWED_SECONDS = 30.0
RESTARTED_SECONDS = 90.0
"""Sentinels start again one after the other, 15 seconds apart."""


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[list[RedisPodProcess]]:
    """Run three pods with TLS that have settled."""
    with running_pods(tmp_path, tls=True) as found:
        assert wait_settled(found, START_SECONDS).number == 0
        yield found


def shown(pod: RedisPodProcess, port: int) -> int:
    """Return the serial number of the certificate that a program of the pod shows."""
    assert pod.trusted is not None
    with socket.create_connection((pod.address, port), timeout=5) as connection, pod.trusted.wrap(connection) as tls:
        certificate = tls.getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate).serial_number


@pytest.mark.timeout(400)
def test_a_primary_with_tls_is_followed_by_another_one_with_everything(pods: list[RedisPodProcess]) -> None:
    """Probes, replication, sentinels and the planned failover use TLS, and nothing else is accepted."""
    for one in pods:
        for port in (PORT_REDIS, PORT_SENTINEL):
            with pytest.raises(OSError, match=r"closed|reset"):
                ask((one.address, port), one.password, "PING")
    with writing(pods) as confirmed:
        wait_until(lambda: len(confirmed) > 50, "writes", 30)
        pods[0].stop()
        count = len(confirmed)
        pods[0].lose_data()
        pods[0].start()
        primary = wait_settled(pods, START_SECONDS)
        wait_until(lambda: len(confirmed) > count + 50, "writes at the new primary", 20)
    assert primary is not pods[0]
    assert set(confirmed) <= written(primary)


@pytest.mark.timeout(500)
def test_a_renewed_certificate_is_shown_without_a_restart_of_redis(pods: list[RedisPodProcess]) -> None:
    """Redis reads it within seconds, connections stay, and sentinels start again; a failover works afterwards."""
    certificates = pods[0].certificates
    assert certificates is not None
    before, running = certificates.serial_number, [one.processes["redis"].pid for one in pods]
    assert {shown(one, port) for one in pods for port in (PORT_REDIS, PORT_SENTINEL)} == {before}
    with writing(pods) as confirmed:
        wait_until(lambda: len(confirmed) > 20, "writes", 30)
        certificates.renew()
        for one in pods:
            one.give_certificate()
        renewed = certificates.serial_number
        assert renewed != before
        wait_until(
            lambda: {shown(one, PORT_REDIS) for one in pods} == {renewed}, "the renewed certificate", RENEWED_SECONDS
        )
        restarted: list[str] = []

        def all_shown() -> bool:
            for one in pods:
                restarted.extend(one.start_ended())
            return {shown(one, PORT_SENTINEL) for one in pods} == {renewed}

        wait_until(all_shown, "sentinels with the renewed certificate", RESTARTED_SECONDS, every=0.3)
        count = len(confirmed)
        wait_until(lambda: len(confirmed) > count + 20, "writes go on", 30)
    assert restarted == ["sentinel"] * 3
    assert [one.processes["redis"].pid for one in pods] == running
    assert all(one.processes["redis"].poll() is None for one in pods)
    primary = wait_settled(pods, START_SECONDS)
    assert set(confirmed) <= written(primary)
    primary.stop()
    primary.start()
    assert wait_settled(pods, START_SECONDS) is not primary


@pytest.mark.timeout(200)
def test_a_certificate_of_others_is_not_trusted(pods: list[RedisPodProcess]) -> None:
    """Each pod shows a certificate with its own name and of the cluster's authority."""
    strangers = ssl.create_default_context()
    with (
        socket.create_connection((pods[0].address, PORT_REDIS), timeout=5) as connection,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        strangers.wrap_socket(connection, server_hostname=pods[0].host)
