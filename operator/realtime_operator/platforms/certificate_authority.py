"""An authority for one Secret: issues the certificate that it has, and keeps what can be kept of the authority."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import text_at
from realtime_operator.api.v1alpha1_certificate import KEY_AUTHORITY, KEY_CERTIFICATE, KEY_PRIVATE_KEY
from realtime_operator.builders.redis.secret import KEY_AUTHORITY_KEY
from realtime_operator.planning.credentials.generated_certificate import CertificateRecord, digest_of, with_record
from realtime_operator.planning.model.plan import IssueCertificate

_PEM = serialization.Encoding.PEM
_SIGNS = x509.KeyUsage(
    digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
)  # fmt: skip
_SERVES = x509.KeyUsage(
    digital_signature=True, key_cert_sign=False, crl_sign=False, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Issued:
    """Values of the Secret, and its manifest with the record of them."""

    values: Mapping[str, bytes]
    manifest: JsonObject


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def issue(present: Mapping[str, bytes], action: IssueCertificate) -> Issued:
    """Carry out the action for a Secret with the values `present`, of which the authority is kept if it is usable."""
    name = text_at(action.manifest, "metadata", "name")
    authority = _authority(present, name, action)
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(action.not_after, authority.certificate.not_valid_after_utc)
    made = _builder(x509.Name([_common_name(name)]), authority.certificate.subject, key, action.not_before, end)
    made = (
        made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_SERVES, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, action.names)), critical=False)
    )
    values = {
        KEY_AUTHORITY: authority.certificate.public_bytes(_PEM),
        KEY_AUTHORITY_KEY: _pem(authority.key),
        KEY_CERTIFICATE: _signed(made, authority.key).public_bytes(_PEM),
        KEY_PRIVATE_KEY: _pem(key),
    }
    digest = digest_of({name: hashlib.sha256(value).hexdigest() for name, value in values.items()})
    record = CertificateRecord(action.names, end, authority.certificate.not_valid_after_utc, digest)
    return Issued(values, with_record(action.manifest, record))


def _authority(present: Mapping[str, bytes], name: str, action: IssueCertificate) -> _Authority:
    """Return the authority in the Secret, a new certificate for its key, or a new authority."""
    key = _read_key(present.get(KEY_AUTHORITY_KEY, b""))
    certificate = _read_certificate(present.get(KEY_AUTHORITY, b""))
    if key is not None and certificate is not None and not action.renews_authority:
        matches = certificate.public_key() == key.public_key()
        if matches and certificate.not_valid_after_utc > action.not_after:
            return _Authority(certificate, key)
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([_common_name(f"{name} authority")])
    made = _builder(subject, subject, key, action.not_before, action.authority_not_after)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return _Authority(_signed(made.add_extension(_SIGNS, critical=True), key), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start.astimezone(UTC))
        .not_valid_after(end.astimezone(UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(made: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Sign; the issuer is named by its key, so that a renewed certificate of the authority verifies this one too."""
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return made.add_extension(issuer, critical=False).sign(key, hashes.SHA256())


def _common_name(text: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.COMMON_NAME, text[:64])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _read_key(text: bytes) -> ec.EllipticCurvePrivateKey | None:
    """Parse a key; None for anything but an unencrypted key of an elliptic curve."""
    try:
        key = serialization.load_pem_private_key(text, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _read_certificate(text: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(text)
    except ValueError:
        return None
