"""Server process with TLS of its own."""

from __future__ import annotations

import ssl
from pathlib import Path

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.certificates import Mount
from tests.kit.server_process import ServerProcess


class TlsServer(ServerProcess):
    """Server with TLS, to which clients connect by wss://; `changes` are those of ServerProcess."""

    def __init__(self, mount: Mount, **changes: JsonValue) -> None:
        tls: JsonObject = {"certificate_file": str(mount.certificate), "key_file": str(mount.key)}
        super().__init__("tls", None, listen={"tls": tls}, **changes)

    @property
    def url(self) -> str:
        """URL for clients."""
        return super().url.replace("ws://", "wss://")


def server_with_or_without_tls(
    folder: Path, *, encrypted: bool, **changes: JsonValue
) -> tuple[ServerProcess, ssl.SSLContext | None]:
    """Return a server, and the TLS context of a client that trusts its certificate; None for a server without TLS.

    The certificate is put into `folder`.
    """
    if not encrypted:
        return ServerProcess("plain", None, **changes), None
    mount = Mount(folder / "tls")
    mount.issue()
    return TlsServer(mount, **changes), mount.client()
