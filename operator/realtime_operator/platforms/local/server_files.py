"""Files of a server: the volumes that a pod would mount, in a folder of its own, and its configuration.

Implements the part of a kubelet that servers need: volumes from ConfigMaps and Secrets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import object_at, objects_at
from realtime_operator.api.v1alpha1_protocols import Protocols, SocketIoProtocol
from realtime_operator.errors import PlatformError
from realtime_operator.platforms.local.object_store import ObjectStore
from realtime_operator.platforms.local.redis import LocalRedis
from realtime_operator.platforms.local.state_folder import StateFolder

POD_FILES = "/etc/realtime/"
"""Prefix of the file paths in a server's configuration, and of the operator's mounts."""
REDIS_URL_FILE = f"{naming.REDIS_CREDENTIALS_DIRECTORY}/url-of-this-machine"
REDIS_PASSWORD_FILE = f"{naming.REDIS_CREDENTIALS_DIRECTORY}/{naming.KEY_REDIS_PASSWORD}"


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports on which all servers of the platform listen together."""

    host: str = "127.0.0.1"
    client: int = naming.PORT_CLIENT
    api: int = naming.PORT_API

    @property
    def client_origin(self) -> str:
        """URL for clients, without a path."""
        return f"ws://{_reachable(self.host)}:{self.client}"

    @property
    def client_url(self) -> str:
        """URL for clients of Centrifugo's protocol."""
        return f"{self.client_origin}{naming.CLIENT_PATH}"

    def client_urls(self, protocols: Protocols) -> tuple[str, ...]:
        """Return what clients connect to, of all protocols; with the path of Socket.IO if it is not the usual one."""
        page, socket_io = self.page_url.removesuffix("/"), protocols.socket_io
        path = "" if socket_io.path == SocketIoProtocol().path else f", path {socket_io.path}"
        names = [each.name for each in socket_io.namespaces] or ["/"]
        return (
            *([self.client_url] if protocols.centrifuge.mode == "Enabled" else []),
            *(f"{page}{name} (Socket.IO{path})" for name in names if socket_io.mode == "Enabled"),
            *(f"{self.client_origin}/ws/{route.name}{route.path}" for route in protocols.web_socket.routes),
        )

    @property
    def page_origins(self) -> tuple[str, ...]:
        """Origins of the development page."""
        return tuple(f"http://{host}:{self.client}" for host in dict.fromkeys((_reachable(self.host), "localhost")))

    @property
    def page_url(self) -> str:
        """URL of the development page."""
        return f"{self.page_origins[0]}/"

    @property
    def api_url(self) -> str:
        """URL for backends."""
        return f"http://{_reachable(self.host)}:{self.api}/api"


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """Writer of servers' files. With `redis` None servers get no backplane, and each is alone."""

    folder: StateFolder
    store: ObjectStore
    ports: Ports
    redis: LocalRedis | None

    def write(self, server: str, replica_set: JsonObject) -> Path:
        """Write the files that differ; return the path of the configuration file. Raises PlatformError."""
        root = self.folder.server(server)
        try:
            self._write_volumes(root, object_at(replica_set, "spec", "template", "spec"))
            if self.redis is not None:
                password = _inside(root, REDIS_PASSWORD_FILE)
                if password.exists():
                    _write(_inside(root, REDIS_URL_FILE), self.redis.url(password.read_text()))
            original = json.loads(_inside(root, f"{naming.CONFIG_DIRECTORY}/{naming.CONFIG_FILE}").read_text())
            config = self._config(original, root, self.folder.admin_socket(server))
            _write(root / naming.CONFIG_FILE, json.dumps(config, indent=2) + "\n")
        except OSError as error:
            raise PlatformError(f"cannot write the files of {server}: {error}") from error
        return root / naming.CONFIG_FILE

    def _write_volumes(self, root: Path, pod: JsonObject) -> None:
        """Write the operator's volumes; those that the spec adds mean nothing outside of Kubernetes."""
        volumes = {str(volume["name"]): volume for volume in objects_at(pod, "volumes")}
        for mount in objects_at(objects_at(pod, "containers")[0], "volumeMounts"):
            if not str(mount["mountPath"]).startswith(POD_FILES):
                continue
            folder = _inside(root, str(mount["mountPath"]))
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, value in self._values(volumes[str(mount["name"])]).items():
                _write(folder / name, value)

    def _values(self, volume: JsonObject) -> Mapping[str, str]:
        """Return the files of a volume by name; empty for volumes that are neither of a ConfigMap nor of Secrets."""
        if "configMap" in volume:
            return self.store.config_map(str(object_at(volume, "configMap")["name"]))
        if "secret" in volume:
            source = object_at(volume, "secret")
            return _items(source, self.store.secret(str(source["secretName"])))
        files: dict[str, str] = {}
        for entry in objects_at(volume, "projected", "sources"):
            source = object_at(entry, "secret")
            files.update(_items(source, self.store.secret(str(source["name"]))))
        return files

    def _config(self, config: JsonObject, root: Path, admin_socket: Path) -> JsonObject:
        """Adapt the pod's configuration to this machine: files below `root`, shared ports without TLS, admin socket."""
        moved = _move(config, root)
        assert isinstance(moved, dict)
        backplane = object_at(moved, "backplane")
        if object_at(backplane, "redis").get("password_file") == str(_inside(root, REDIS_PASSWORD_FILE)):  # managed
            url_file: JsonObject = {"url_file": str(_inside(root, REDIS_URL_FILE))}
            backplane = {**backplane, "redis": None if self.redis is None else url_file}
        listen: JsonObject = {
            "host": self.ports.host,
            "client_port": self.ports.client,
            "api_port": self.ports.api,
            "admin_socket": str(admin_socket),
            "shared": True,
        }
        origins = moved.get("origins")
        own: list[JsonValue] = [*self.ports.page_origins] if origins else []
        return {
            **moved,
            "api": {name: value for name, value in object_at(moved, "api").items() if name != "tls"},
            "development": True,
            "origins": [*(origins if isinstance(origins, list) else []), *own],
            "listen": listen,
            "backplane": backplane,
        }


def _items(source: JsonObject, values: Mapping[str, str]) -> dict[str, str]:
    items = {str(item["key"]): str(item["path"]) for item in objects_at(source, "items")}
    return {path: values[key] for key, path in items.items() if key in values}


def _inside(root: Path, path: str) -> Path:
    """Map an absolute path of the pod into the server's folder."""
    return root / path.lstrip("/")


def _move(value: JsonValue, root: Path) -> JsonValue:
    if isinstance(value, dict):
        return {key: _move(item, root) for key, item in value.items()}
    if isinstance(value, list):
        return [_move(item, root) for item in value]
    return str(_inside(root, value)) if isinstance(value, str) and value.startswith(POD_FILES) else value


def _write(path: Path, value: str) -> None:
    """Replace a file atomically, so that readers see the old or the new value."""
    if path.exists() and path.read_bytes() == value.encode():
        return
    new = path.with_name(f".{path.name}.new")
    new.touch(mode=0o600)
    new.write_bytes(value.encode())
    new.replace(path)


def _reachable(host: str) -> str:
    """Return the host part of a URL that reaches the listener from this machine."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - only compared
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
