"""The part of the server's configuration about its ports: TLS, proxies, and the files that TLS needs."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_certificate import KEY_CERTIFICATE, KEY_PRIVATE_KEY, ServerTls
from realtime_operator.api.v1alpha1_endpoint import Endpoint
from realtime_operator.api.v1alpha1_server import SecretKeySelector, ServerApi

CERTIFICATE_FILE = "tls.crt"
KEY_FILE = "tls.key"
CA_FILE = "clients-ca.pem"
TLS_FILES = {KEY_CERTIFICATE: CERTIFICATE_FILE, KEY_PRIVATE_KEY: KEY_FILE}
"""Files of a Secret of type kubernetes.io/tls, by key."""

MIN_VERSIONS = {"VersionTLS12": "1.2", "VersionTLS13": "1.3"}
HEADERS = {"XForwardedFor": "X-Forwarded-For", "Forwarded": "Forwarded"}
"""The server's words for those of the spec."""


def listen_config(endpoint: Endpoint) -> JsonObject:
    """Build the configuration of the ports. Servers listen on all addresses of all families."""
    proxies = endpoint.proxies
    return {
        "host": "::",
        "client_port": naming.PORT_CLIENT,
        "api_port": naming.PORT_API,
        "admin_port": naming.PORT_ADMIN,
        "handshake_seconds": endpoint.handshake_seconds,
        "tls": None if endpoint.tls is None else _tls(naming.TLS_DIRECTORY, endpoint.tls.min_version),
        "proxy_protocol": proxies.proxy_protocol == "Required",
        "trusted_proxies": [*proxies.trusted],
        "forwarded_header": HEADERS[proxies.forwarded_header],
    }


def api_tls_config(api: ServerApi) -> JsonValue:
    """Build the configuration of the API's TLS; None without it."""
    if api.tls is None:
        return None
    authority = f"{naming.API_TLS_DIRECTORY}/{CA_FILE}" if api.tls.client_certificates is not None else None
    return {**_tls(naming.API_TLS_DIRECTORY, api.tls.min_version), "client_ca_file": authority}


def _tls(directory: str, min_version: str) -> JsonObject:
    return {
        "certificate_file": f"{directory}/{CERTIFICATE_FILE}",
        "key_file": f"{directory}/{KEY_FILE}",
        "min_version": MIN_VERSIONS[min_version],
    }


def tls_secrets(cluster: RealtimeCluster) -> list[tuple[str, str, str]]:
    """Return volume, directory and Secret of each port with TLS."""
    ports: tuple[tuple[str, str, ServerTls | None], ...] = (
        ("tls", naming.TLS_DIRECTORY, cluster.spec.endpoint.tls),
        ("api-tls", naming.API_TLS_DIRECTORY, cluster.spec.api.tls),
    )
    return [(volume, directory, tls.secret_ref.name) for volume, directory, tls in ports if tls is not None]


def ca_files(api: ServerApi) -> dict[str, SecretKeySelector]:
    """Return the Secret key with the authorities of backends' certificates, by file name; empty without mutual TLS."""
    if api.tls is None or api.tls.client_certificates is None:
        return {}
    return {CA_FILE: api.tls.client_certificates.ca.secret_key_ref}
