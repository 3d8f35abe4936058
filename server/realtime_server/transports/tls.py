"""The certificate that clients are shown, read again when its files change: no restart, no connection lost."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import structlog
from cryptography import x509

logger = structlog.get_logger()

LOOK_SECONDS = 5.0
"""How often the files are looked at. Kubernetes itself takes up to a minute to change them in a pod."""
PROTOCOLS = ["http/1.1"]
"""What is spoken here, by its name in ALPN (RFC 7301)."""
MinVersion: TypeAlias = Literal["1.2", "1.3"]
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_Seen: TypeAlias = tuple[tuple[int, int, int], ...]


class CertificateError(Exception):
    """Certificate and key cannot be used; the text says which file, and why."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Where the certificate (with its chain) and its key are, in PEM, and the oldest version of TLS that is spoken."""

    certificate_file: Path
    key_file: Path
    min_version: MinVersion = "1.2"


class Certificate:
    """What new connections are made with. `expires_at` is Unix time in seconds: the first end in the chain."""

    def __init__(self, settings: TlsSettings) -> None:
        """Read the files. Raises CertificateError."""
        self._settings = settings
        self._seen = self._look()
        self.context, self.expires_at = _load(settings)

    def refresh(self) -> bool:
        """Read the files again if they have changed; whether there is a new certificate.

        One that cannot be used is told of in the log, once, and the one from before stays.
        """
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self.context, self.expires_at = _load(self._settings)
        except CertificateError as error:
            logger.error("tls certificate cannot be used, the one from before stays", error=str(error))  # noqa: TRY400
            return False
        logger.info("tls certificate read", file=str(self._settings.certificate_file), expires_at=self.expires_at)
        return True

    async def follow(self) -> None:
        """Refresh every LOOK_SECONDS until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.refresh()

    def _look(self) -> _Seen:
        """What changes when a file does; Kubernetes swaps a symbolic link in front of both."""
        found = []
        for path in (self._settings.certificate_file, self._settings.key_file):
            try:
                stat = path.stat()
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(found)


def _load(settings: TlsSettings) -> tuple[ssl.SSLContext, float]:
    """A context of its own for each certificate: one that cannot be used leaves the one before as it is."""
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
    return context, min(one.not_valid_after_utc for one in chain).timestamp()
