"""A cluster of this machine as a file, from which it runs again with its credentials."""

from __future__ import annotations

import stat
from pathlib import Path

from realtime_operator import naming
from tests.component.cli.test_commands import CLUSTER
from tests.kit.api import ServerApi
from tests.kit.chart import documents_of
from tests.kit.document import dig, object_at
from tests.kit.realtime_command import running


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
