"""Certificates and kubeconfigs of a cluster: one authority, valid for a day, made anew at each start."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.kit.cluster.layout import Layout

VALID_DAYS = 30

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "https://{server}", certificate-authority: {folder}/ca.crt}}}}]
users: [{{name: {user}, user: {{client-certificate: {folder}/{user}.crt, client-key: {folder}/{user}.key}}}}]
contexts: [{{name: test, context: {{cluster: test, user: {user}}}}}]
current-context: test
"""

CLIENTS = {
    "admin": ("system:masters", "admin"),
    "controller-manager": (None, "system:kube-controller-manager"),
    "scheduler": (None, "system:kube-scheduler"),
    "proxy": (None, "system:kube-proxy"),
    "kubelet": ("system:nodes", "system:node:node1"),
    "apiserver-kubelet": ("system:masters", "apiserver-kubelet-client"),
    "coredns": ("system:masters", "coredns"),
}


class Authority:
    """The cluster's certificate authority."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test-cluster")])
        certificate = _builder(self._name, self._name, self._key, self._key)
        certificate = certificate.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate = certificate.add_extension(_SIGNS, critical=True)
        _write(folder / "ca.crt", certificate.sign(self._key, hashes.SHA256()).public_bytes(_PEM))

    def issue(self, name: str, organization: str | None, common_name: str, hosts: tuple[str, ...] = ()) -> None:
        """Write NAME.key and NAME.crt, good for clients and, with `hosts`, for servers."""
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organization is not None:
            attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
        certificate = _builder(x509.Name(attributes), self._name, key, self._key).add_extension(usages, critical=False)
        if hosts:
            certificate = certificate.add_extension(x509.SubjectAlternativeName(map(_host, hosts)), critical=False)
        _write(self._folder / f"{name}.crt", certificate.sign(self._key, hashes.SHA256()).public_bytes(_PEM))
        _write_key(self._folder / f"{name}.key", key)


_PEM = serialization.Encoding.PEM
_SIGNS = x509.KeyUsage(
    digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
)  # fmt: skip
"""Key usage of the authority's certificate; Python 3.13 demands it."""


def write_certificates(layout: Layout) -> None:
    """Write the keys, certificates and kubeconfigs of all components and kubectl to state/pki."""
    folder = layout.state / "pki"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = Authority(folder)
    services = tuple(f"kubernetes{suffix}" for suffix in ("", ".default", ".default.svc", ".default.svc.cluster.local"))
    addresses = ("127.0.0.1", layout.node_address, layout.kubernetes_service)
    authority.issue("apiserver", None, "kube-apiserver", (*addresses, "localhost", *services))
    for name, (organization, common_name) in CLIENTS.items():
        hosts = (layout.node_address, "127.0.0.1", "node1") if name == "kubelet" else ()
        authority.issue(name, organization, common_name, hosts)
        write_kubeconfig(folder, name, f"{layout.node_address}:6443")
    write_service_account_keys(folder)


def write_kubeconfig(folder: Path, user: str, server: str) -> Path:
    """Write USER.kubeconfig for a user whose certificate is there; `server` is host:port. Returns its path."""
    path = folder / f"{user}.kubeconfig"
    path.write_text(KUBECONFIG.format(server=server, folder=folder, user=user))
    return path


def write_service_account_keys(folder: Path) -> None:
    """Write service-accounts.key and .pub, with which the API server signs and verifies tokens."""
    tokens = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write_key(folder / "service-accounts.key", tokens)
    public = tokens.public_key().public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    _write(folder / "service-accounts.pub", public)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    whose = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(whose, critical=False)
        .add_extension(signed_by, critical=False)
    )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(_PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    )
