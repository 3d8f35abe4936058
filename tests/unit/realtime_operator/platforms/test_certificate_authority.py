"""Tests of the authority of a managed Redis: certificates that clients verify strictly, before and after a renewal."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from realtime_operator.planning.credentials.generated_certificate import AUTHORITY_LIFETIME, read_record
from realtime_operator.platforms.certificate_authority import issue
from tests.kit.generated_certificates import order

NOW = datetime.now(UTC).replace(microsecond=0)
HOST = "chat-redis-1.chat-redis-nodes.realtime.svc"


def verifies(authority: bytes, values: Mapping[str, bytes], folder: Path, host: str = HOST) -> bool:
    """Return True when a client that trusts this authority accepts a server with these values."""
    (folder / "tls.crt").write_bytes(values["tls.crt"])
    (folder / "tls.key").write_bytes(values["tls.key"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    client = ssl.create_default_context(cadata=authority.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    sent, received = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(received, sent, server_hostname=host)
    other = server.wrap_bio(sent, received, server_side=True)
    for _ in range(3):
        for side in (one, other):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return one.version() is not None


def test_clients_accept_its_certificates(tmp_path: Path) -> None:
    """Names of the Service and of the pods are in them, and no others."""
    values = issue({}, order()).values
    assert set(values) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}
    assert verifies(values["ca.crt"], values, tmp_path)
    assert verifies(values["ca.crt"], values, tmp_path, "chat-redis.realtime.svc")
    assert not verifies(values["ca.crt"], values, tmp_path, "chat-api.realtime.svc")
    assert not verifies(issue({}, order()).values["ca.crt"], values, tmp_path)


def test_a_renewed_certificate_is_of_the_same_authority(tmp_path: Path) -> None:
    """Servers need not read the authority again."""
    first = issue({}, order()).values
    second = issue(first, order()).values
    assert second["ca.crt"] == first["ca.crt"]
    assert second["tls.crt"] != first["tls.crt"]
    assert verifies(first["ca.crt"], second, tmp_path)


def test_a_renewed_authority_verifies_both_ways(tmp_path: Path) -> None:
    """Servers with the former certificate of the authority accept new ones, and the other way round."""
    first = issue({}, order()).values
    renewed = issue(first, replace(order(), renews_authority=True)).values
    assert renewed["ca.crt"] != first["ca.crt"]
    assert verifies(first["ca.crt"], renewed, tmp_path)
    assert verifies(renewed["ca.crt"], first, tmp_path)


@pytest.mark.parametrize(
    "edited", [{"ca.key": b"no key"}, {"ca.crt": b"no certificate"}, {"ca.crt": b"", "ca.key": b""}], ids=str
)
def test_unusable_values_are_replaced(edited: dict[str, bytes], tmp_path: Path) -> None:
    """Whatever somebody wrote into the Secret, the result verifies."""
    values = issue({**issue({}, order()).values, **edited}, order()).values
    assert verifies(values["ca.crt"], values, tmp_path)


def test_a_key_that_is_not_of_the_authority_gets_one(tmp_path: Path) -> None:
    """A pair that does not match would issue certificates that nobody accepts."""
    one, other = issue({}, order()).values, issue({}, order()).values
    values = issue({"ca.crt": one["ca.crt"], "ca.key": other["ca.key"]}, order()).values
    assert values["ca.crt"] != one["ca.crt"]
    assert verifies(values["ca.crt"], values, tmp_path)


def test_the_record_says_what_was_issued() -> None:
    """The planner reads from it when to renew, without the values."""
    first = issue({}, order(now=NOW))
    later = issue(first.values, order(now=NOW + timedelta(days=60)))
    record = read_record(later.manifest)
    assert record is not None
    certificate = x509.load_pem_x509_certificate(later.values["tls.crt"])
    assert record.not_after == certificate.not_valid_after_utc
    assert record.authority_not_after == NOW + AUTHORITY_LIFETIME
