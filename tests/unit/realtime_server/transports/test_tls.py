"""TLS certificate: reloaded when its files change, kept when they are invalid."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest
import structlog

from realtime_server.transports.tls import Certificate, CertificateError, TlsSettings
from tests.kit.certificates import Mount


def mounted(folder: Path) -> tuple[Mount, Certificate]:
    """Return the files of a certificate and the server's context of them."""
    mount = Mount(folder)
    mount.issue()
    return mount, Certificate(TlsSettings(mount.certificate, mount.key))


def test_nothing_is_read_again_while_nothing_changes(tmp_path: Path) -> None:
    """Without a change the context is the same object."""
    _, certificate = mounted(tmp_path)
    context = certificate.context
    assert not certificate.refresh()
    assert certificate.context is context


def test_a_swapped_link_is_a_new_certificate(tmp_path: Path) -> None:
    """Kubelet updates the files of a Secret by replacing a link; the new expiry is reported."""
    mount, certificate = mounted(tmp_path)
    before = certificate.context
    mount.issue(days=7)
    assert certificate.refresh()
    assert certificate.context is not before
    assert certificate.expires_at == pytest.approx(time.time() + 7 * 86400, abs=60)


@pytest.mark.parametrize("broken", ["certificate", "key", "mismatch", "password", "gone"])
def test_one_that_cannot_be_used_is_told_once_and_left(tmp_path: Path, broken: str) -> None:
    """An invalid certificate is logged once, and the next valid one is used."""
    mount, certificate = mounted(tmp_path)
    before, chain, key = certificate.context, mount.certificate.read_bytes(), mount.key.read_bytes()
    if broken == "gone":
        mount.key.unlink()
    else:
        mount.issue(password=b"secret" if broken == "password" else None)
    if broken in ("certificate", "key", "mismatch"):
        mount.put(
            {"certificate": b"nonsense", "mismatch": mount.certificate.read_bytes()}.get(broken, chain),
            b"nonsense" if broken == "key" else key,
        )
    with structlog.testing.capture_logs() as logs:
        assert not certificate.refresh()
        assert not certificate.refresh()
    assert [entry["log_level"] for entry in logs] == ["error"]
    assert certificate.context is before
    if broken == "gone":
        mount.key.symlink_to("..data/tls.key")
    mount.issue()
    assert certificate.refresh()


def test_a_server_does_not_start_without_one(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(CertificateError, match=r"missing\.crt"):
        Certificate(TlsSettings(tmp_path / "missing.crt", tmp_path / "missing.key"))


def test_changed_authorities_of_clients_make_a_new_context(tmp_path: Path) -> None:
    """Invalid ones are logged, and the former context stays; without authorities no certificate is asked for."""
    mount, plain = mounted(tmp_path / "server")
    assert plain.context.verify_mode is ssl.CERT_NONE
    authorities = tmp_path / "clients.pem"
    authorities.write_bytes(mount.authority.read_bytes())
    settings = TlsSettings(mount.certificate, mount.key, client_ca_file=authorities)
    certificate = Certificate(settings)
    before = certificate.context
    assert before.verify_mode is ssl.CERT_REQUIRED
    authorities.write_text("nonsense")
    with structlog.testing.capture_logs() as logs:
        assert not certificate.refresh()
    assert "clients.pem: no certificates in PEM" in str(logs[0]["error"])
    assert certificate.context is before
    authorities.write_bytes(mount.authority.read_bytes() * 2)
    assert certificate.refresh()
    authorities.unlink()
    with pytest.raises(CertificateError, match=r"clients\.pem"):
        Certificate(settings)
