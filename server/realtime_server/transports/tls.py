"""TLS certificate of a port, reloaded when its files change, without losing connections."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import structlog
from cryptography import x509

from realtime_server.settings import ApiTls, Listen

logger = structlog.get_logger()

LOOK_SECONDS = 5.0
"""Interval of checking the files; Kubernetes itself takes up to a minute to update them in a pod."""
PROTOCOLS = ["http/1.1"]
"""ALPN name of the supported protocol (RFC 7301)."""
MinVersion: TypeAlias = Literal["1.2", "1.3"]
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_Seen: TypeAlias = tuple[tuple[int, int, int], ...]


class CertificateError(Exception):
    """Unusable certificate or key; the text names the file and the reason."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Paths of the certificate with its chain and of its key, in PEM, and the minimum version of TLS.

    With `client_ca_file` clients must present a certificate that one of these authorities has signed.
    """

    certificate_file: Path
    key_file: Path
    min_version: MinVersion = "1.2"
    client_ca_file: Path | None = None


def tls_settings(listen: Listen) -> TlsSettings | None:
    """Return the settings of the certificate of the port for clients, None where it has none."""
    tls = listen.tls
    return None if tls is None else TlsSettings(tls.certificate_file, tls.key_file, tls.min_version)


def api_tls_settings(tls: ApiTls) -> TlsSettings:
    """Return the settings of the certificate of the API's port."""
    return TlsSettings(tls.certificate_file, tls.key_file, tls.min_version, tls.client_ca_file)


class Certificate:
    """Certificate for new connections. `expires_at` is the first expiry in the chain, Unix time in seconds."""

    def __init__(self, settings: TlsSettings) -> None:
        """Read the files. Raises CertificateError."""
        self._settings = settings
        self._seen = self._file_states()
        self.context, self.expires_at = _load(settings)

    def refresh(self) -> bool:
        """Reload the files if they have changed; return True when there is a new certificate.

        An unusable one is logged once, and the former certificate stays.
        """
        seen = self._file_states()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self.context, self.expires_at = _load(self._settings)
        except CertificateError as error:
            logger.error("tls certificate cannot be used, the previous one stays in use", error=str(error))  # noqa: TRY400
            return False
        logger.info("tls certificate read", file=str(self._settings.certificate_file), expires_at=self.expires_at)
        return True

    async def follow(self) -> None:
        """Refresh every LOOK_SECONDS until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.refresh()

    def _file_states(self) -> _Seen:
        """Return what changes when a file does; Kubernetes replaces a symbolic link in front of both."""
        found = []
        for path in (self._settings.certificate_file, self._settings.key_file, self._settings.client_ca_file):
            if path is None:
                continue
            try:
                stat = path.stat()
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(found)


def _load(settings: TlsSettings) -> tuple[ssl.SSLContext, float]:
    """Load a certificate into a new context, so that an unusable one does not affect the current context."""
    try:
        chain = x509.load_pem_x509_certificates(settings.certificate_file.read_bytes())
    except (OSError, ValueError) as error:
        raise CertificateError(f"{settings.certificate_file}: no certificate in PEM: {error}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(PROTOCOLS)
    try:
        # Asked for a password, OpenSSL would read one from the terminal.
        context.load_cert_chain(settings.certificate_file, settings.key_file, password=lambda: "")
    except (OSError, ValueError) as error:
        reason = f"no key in PEM without a password that fits {settings.certificate_file}: {error}"
        raise CertificateError(f"{settings.key_file}: {reason}") from error
    _ask_for_certificates(context, settings.client_ca_file)
    return context, min(one.not_valid_after_utc for one in chain).timestamp()


def _ask_for_certificates(context: ssl.SSLContext, authorities: Path | None) -> None:
    if authorities is None:
        return
    try:
        context.load_verify_locations(authorities)
    except (OSError, ValueError) as error:
        raise CertificateError(f"{authorities}: no certificates in PEM: {error}") from error
    context.verify_mode = ssl.CERT_REQUIRED
