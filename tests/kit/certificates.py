"""Server certificates in files as Kubernetes mounts a Secret: a symbolic link that is swapped atomically."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import ClientConnection

PEM = serialization.Encoding.PEM
NAMES = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])


class Mount:
    """A folder with `tls.crt` and `tls.key` of 127.0.0.1 or other names, and the authority that clients trust.

    Without `identifiers` the certificates do not say which key is whose, as those of old private authorities.
    """

    def __init__(self, folder: Path, *, identifiers: bool = True, names: Sequence[str] = ()) -> None:
        self._folder = folder
        self._names = x509.SubjectAlternativeName([x509.DNSName(name) for name in names]) if names else NAMES
        self._identifiers = identifiers
        self._authority_key = ec.generate_private_key(ec.SECP256R1())
        self._authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self._swaps = 0
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        made = self._builder(self._authority, self._authority_key.public_key(), days=30)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        made = made.add_extension(constraints, critical=True).add_extension(usage, critical=True)
        folder.mkdir(exist_ok=True)
        self.authority.write_bytes(made.sign(self._authority_key, hashes.SHA256()).public_bytes(PEM))
        for name in ("tls.crt", "tls.key"):
            (folder / name).symlink_to(Path("..data") / name)

    @property
    def authority(self) -> Path:
        """File of the authority's certificate."""
        return self._folder / "ca.crt"

    @property
    def certificate(self) -> Path:
        """File of the certificate."""
        return self._folder / "tls.crt"

    @property
    def key(self) -> Path:
        """File of the private key."""
        return self._folder / "tls.key"

    def issue(self, days: int = 1, password: bytes | None = None) -> int:
        """Mount a new certificate valid for `days`, its key encrypted if a password is given.

        Return its serial number.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        made = self._builder(name, key.public_key(), days).add_extension(self._names, critical=False)
        certificate = made.sign(self._authority_key, hashes.SHA256())
        self.put(
            certificate.public_bytes(PEM),
            key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption),
        )
        return certificate.serial_number

    def put(self, certificate: bytes, key: bytes) -> None:
        """Mount any files by one rename, as the kubelet does."""
        self._swaps += 1
        version = self._folder / f"..{self._swaps}"
        version.mkdir()
        (version / "tls.crt").write_bytes(certificate)
        (version / "tls.key").write_bytes(key)
        link = self._folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self._folder / "..data")

    def client(self) -> ssl.SSLContext:
        """Return the TLS context of clients that trust the authority."""
        return ssl.create_default_context(cafile=str(self.authority))

    def server(self) -> ssl.SSLContext:
        """Return a server's TLS context with the current certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._authority)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=2))
            .not_valid_after(now + datetime.timedelta(days=days))
        )
        if not self._identifiers:
            return made
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority_key.public_key())
        subject = x509.SubjectKeyIdentifier.from_public_key(key)
        return made.add_extension(subject, critical=False).add_extension(issuer, critical=False)


def check_strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make clients verify certificates strictly, as is the default from Python 3.13 on."""
    default = ssl.create_default_context

    def strict(
        purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH,
        *,
        cafile: str | Path | None = None,
        capath: str | Path | None = None,
        cadata: str | bytes | None = None,
    ) -> ssl.SSLContext:
        context = default(purpose, cafile=cafile, capath=capath, cadata=cadata)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)


def shown(client: ClientConnection) -> int:
    """Return the serial number of the certificate that a client is shown."""
    tls = client.transport.get_extra_info("ssl_object")
    assert isinstance(tls, ssl.SSLObject)
    certificate = tls.getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate).serial_number
