"""Servers of an older commit: its code, unpacked beside the checkout, with today's dependencies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.configuration.config_map import server_config
from tests.kit.document import object_at, text_at
from tests.kit.manifests import cluster_of
from tests.kit.server_process import ADMIN_TOKEN, API_KEY, TOKEN_SECRET, RedisPlace, ServerProcess

POD_FILES = "/etc/realtime"


def module_of(path: Path) -> str:
    """Return the file from which Python imports the server with this folder on its path."""
    program = "import realtime_server; print(realtime_server.__file__)"
    found = subprocess.run(
        [sys.executable, "-P", "-c", program], env={"PYTHONPATH": str(path)}, capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


class OlderServer(ServerProcess):
    """A server of older code, with the configuration that today's operator writes for a spec."""

    def __init__(self, name: str, redis: RedisPlace, path: Path, spec: JsonObject) -> None:
        super().__init__(name, redis)
        self.variables: Mapping[str, str] = {"PYTHONPATH": str(path)}
        self._redis_url = redis.url
        self._spec = spec

    def write_files(self) -> str:
        """Write the files of its pod below its folder, with addresses of this machine.

        Return the configuration file.
        """
        config = server_config(cluster_of(self._spec))
        for place, value in self._secrets(config).items():
            file = self.folder / place.removeprefix("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(value)
        backplane = {**object_at(config, "backplane"), "redis": {"url_file": f"{POD_FILES}/redis/url"}}
        listen = {
            "host": "127.0.0.1", "client_port": self.client_port, "api_port": self.api_port,
            "admin_port": self.admin_port,
        }  # fmt: skip
        text = json.dumps({**config, "backplane": backplane, "listen": listen})
        path = self.folder / "config.json"
        path.write_text(text.replace(POD_FILES, f"{self.folder}{POD_FILES}"))
        return str(path)

    def _secrets(self, config: JsonObject) -> Mapping[str, str]:
        return {
            text_at(config, "admin", "token_file"): ADMIN_TOKEN,
            text_at(config, "api", "key_file"): API_KEY,
            text_at(config, "auth", "token_keys", 0, "file"): TOKEN_SECRET,
            f"{POD_FILES}/redis/url": self._redis_url,
        }
