"""A cluster of this machine as files, from which it runs again with its credentials and histories."""

from __future__ import annotations

import stat
from pathlib import Path

from realtime_operator import naming
from tests.component.cli.test_commands import CLUSTER
from tests.kit.api import ServerApi
from tests.kit.balancer import Balancer
from tests.kit.chart import documents_of
from tests.kit.clients import Channel, ClientOptions, all_subscribed
from tests.kit.document import dig, object_at
from tests.kit.realtime_command import RealtimeUp, running
from tests.kit.sdk import JavaScriptClients


async def test_an_exported_cluster_runs_again_with_its_key(tmp_path: Path) -> None:
    """Without secrets the file has only the cluster; with them it is its owner's, and the key works elsewhere."""
    file = tmp_path / "chat.yaml"
    async with running(CLUSTER) as up:
        (plain,) = documents_of(await up.answer("export"))
        assert set(plain) == {"apiVersion", "kind", "metadata", "spec"}
        assert plain["metadata"] == {"name": "chat"}
        refused = await up.ask("export", "--secrets", "generated")
        assert (refused.code, "--secrets needs --file" in refused.stderr) == (2, True)
        file.touch(mode=0o644)
        await up.answer("export", "--secrets", "generated", "-f", str(file))
        imported = await up.ask("import", "-f", str(file))
        assert (imported.code, "realtime up -f FILE" in imported.stderr) == (2, True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    cluster, credentials, redis = documents_of(file.read_text())
    assert dig(cluster, "spec", "replicas") == 2
    assert object_at(credentials, "metadata")["name"] == naming.credentials_secret("chat")
    assert object_at(redis, "metadata")["name"] == naming.redis("chat")
    key = str(object_at(credentials, "stringData")[naming.KEY_API])
    async with (
        running(file.read_text()) as again,
        ServerApi(f"http://127.0.0.1:{again.api_port}", key) as api,
    ):
        assert "nodes" in await api.call("info")


async def test_clients_recover_from_imported_histories(tmp_path: Path) -> None:
    """A client of the platform that is gone gets what was published before the export, once; nothing is replaced."""
    file, histories = tmp_path / "chat.yaml", tmp_path / "chat.history"
    async with Balancer([]) as balancer:
        url = f"ws://127.0.0.1:{balancer.port}/connection/websocket"
        lobby = Channel("chat:lobby", recoverable=True)
        async with running(CLUSTER) as up:
            balancer.endpoints = [up.port]
            token = (await up.answer("token", "--user", "alice")).strip()
            options = ClientOptions([url], channels=[lobby], tokens=[token], max_reconnect_delay=0.5)
            async with JavaScriptClients(options) as clients:
                await all_subscribed(clients)
                await up.answer("publish", "chat:lobby", "1")
                await clients.record.wait(lambda r: len(r.publications()) == 1, what="the first message")
                balancer.endpoints = []
                balancer.cut()
                for number in ("2", "3"):
                    await up.answer("publish", "chat:lobby", number)
                await up.answer("publish", "chat:other", '{"text": "hello"}')
                secrets = ("--secrets", "generated", "-f", str(file))
                exported = await up.ask("export", *secrets, "--history", str(histories))
                assert "with the histories of 2 channels" in exported.stderr
                await up.end()
                assert stat.S_IMODE(histories.stat().st_mode) == 0o600
                async with running(file.read_text()) as again:
                    await recover(clients, balancer, again, histories)


async def recover(clients: JavaScriptClients, balancer: Balancer, again: RealtimeUp, histories: Path) -> None:
    """Import the histories into the platform that runs the exported cluster, and let the client through to it."""
    await again.answer("publish", "chat:other", '"theirs"')
    imported = await again.ask("import", "--history", str(histories))
    assert (imported.code, "1 histories are imported" in imported.stderr) == (1, True), imported
    assert "the channel has another history, which --replace would replace: chat:other" in imported.stderr
    balancer.endpoints = [again.port]
    await clients.record.wait(lambda r: len(r.publications()) == 3, what="what was missed", within=30)
    (recovery,) = clients.record.recoveries()
    assert (recovery.recovered, recovery.offset) == (True, 3)
    assert [one.data for one in clients.record.publications()] == [1, 2, 3]
    await again.answer("publish", "chat:lobby", "4")
    await clients.record.wait(lambda r: len(r.publications()) == 4, what="the next message")
    replaced = await again.ask("import", "--history", str(histories), "--replace")
    assert (replaced.code, "1 histories are imported, 1 were there" in replaced.stderr) == (0, True), replaced
    assert "hello" in await again.answer("history", "chat:other")


async def test_a_file_that_is_no_export_is_refused(tmp_path: Path) -> None:
    """The message names the file, or the line."""
    part = '{"channel":"chat:lobby","first":true,"publications":[[2,1,"AA=="],[4,1,"AA=="]]}\n'
    end = '{"channels":1,"unreadable":[],"error":""}\n'
    cases = (
        ("", "has no end"),
        (part, "has no end"),
        (part + end, "line 1: offsets must be consecutive"),
        ("{}\n" + end, "line 1: is no part of an exported history"),
    )
    async with running(CLUSTER) as up:
        nothing = await up.ask("import")
        assert (nothing.code, "give --file, --history, or both" in nothing.stderr) == (2, True)
        for number, (text, message) in enumerate(cases):
            file = tmp_path / f"{number}.history"
            file.write_text(text)
            refused = await up.ask("import", "--history", str(file))
            assert refused.code in (1, 2)
            assert message in refused.stderr
