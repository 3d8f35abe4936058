"""Server with TLS of its own, whose certificate is replaced while clients are connected."""

from __future__ import annotations

from pathlib import Path

from websockets.asyncio.client import connect

from realtime_operator.api.base import JsonObject
from tests.kit.certificates import Mount, shown
from tests.kit.deadline import eventually
from tests.kit.raw_client import RawClient
from tests.kit.server_process import TOKEN_SECRET
from tests.kit.tls_server import TlsServer
from tests.kit.tokens import connection_token

TOKEN = connection_token(TOKEN_SECRET, "user-0")
CHANNEL = "open:tls"
LARGE = 300_000
LIMITS: JsonObject = {"message_bytes": LARGE * 2, "outbox_bytes": LARGE * 4}


def opened(server: TlsServer, mount: Mount) -> connect:
    """Open a WebSocket of a client that trusts the authority."""
    return connect(server.url, ssl=mount.client(), proxy=None, ping_interval=None, max_size=None)


async def test_publications_arrive_over_tls_in_order(tmp_path: Path) -> None:
    """Small publications arrive, and those that no socket takes at once."""
    mount = Mount(tmp_path / "tls")
    mount.issue()
    async with TlsServer(mount, limits=LIMITS) as server, opened(server, mount) as connection:
        client = RawClient(connection)
        await client.connect(TOKEN)
        await client.subscribe(CHANNEL)
        sent = ["a", "b" * LARGE, "c", "d" * LARGE, "e"]
        async with server.api() as api:
            for data in sent:
                await api.call("publish", channel=CHANNEL, data=data)
        assert [await client.publication() for _ in sent] == sent


async def test_a_new_certificate_is_for_new_connections(tmp_path: Path) -> None:
    """The new one is read within seconds; connected clients are unaffected, and an invalid one changes nothing."""
    mount = Mount(tmp_path / "tls")
    first = mount.issue()
    async with TlsServer(mount, limits=LIMITS) as server, opened(server, mount) as connection:
        assert shown(connection) == first
        client = RawClient(connection)
        await client.connect(TOKEN)
        await client.subscribe(CHANNEL)
        second = mount.issue(days=3)

        async def newest() -> int:
            async with opened(server, mount) as other:
                return shown(other)

        await eventually(newest, lambda number: number == second, what="the new certificate", within=15, every=0.5)
        mount.put(b"broken", b"broken")

        async def log() -> str:
            return server.log.read_text()

        await eventually(log, lambda text: "cannot be used" in text, what="word of it in the log", within=15, every=0.5)
        assert await newest() == second
        async with server.api() as api:
            await api.call("publish", channel=CHANNEL, data="still here")
        assert await client.publication() == "still here"
