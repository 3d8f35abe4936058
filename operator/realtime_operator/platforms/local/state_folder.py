"""Folder of the local platform for credentials, sockets and logs. Nobody but the user may look into it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from realtime_operator.errors import StateFolderError

ENV_STATE_DIR = "REALTIME_STATE_DIR"
LONGEST_SOCKET = 104
"""Longest path of a Unix socket in bytes that every system allows."""
LONGEST_NAME = len("/run/realtime-server-12345678/worker-00.sock")
KEPT_LOGS = 50


def default_path() -> Path:
    """Return `$REALTIME_STATE_DIR`, else `realtime` in `$XDG_STATE_HOME` (XDG Base Directory Specification 0.8).

    A relative `$XDG_STATE_HOME` is ignored, as the specification demands.
    """
    own = os.environ.get(ENV_STATE_DIR)
    if own:
        return Path(own)
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "state") / "realtime"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Paths of the state of one local platform."""

    path: Path
    """Always absolute: servers' configurations contain it, and an address that begins with / is a socket's."""

    def __post_init__(self) -> None:
        """Make the path absolute."""
        object.__setattr__(self, "path", self.path.absolute())

    @property
    def lock(self) -> Path:
        """Lock file of the process that runs the platform; contains its pid."""
        return self.path / "lock"

    @property
    def control(self) -> Path:
        """Unix socket of the platform's control API."""
        return self.run / "control.sock"

    @property
    def run(self) -> Path:
        """Folder of sockets and of files that are of no use after the end of their process."""
        return self.path / "run"

    @property
    def secrets(self) -> Path:
        """Folder of Secrets: a folder for each, a file for each key."""
        return self.path / "secrets"

    @property
    def redis(self) -> Path:
        """Folder of the configuration of the local Redis."""
        return self.path / "redis"

    @property
    def logs(self) -> Path:
        """Folder of logs: one for each server, and one of Redis."""
        return self.path / "logs"

    def server(self, name: str) -> Path:
        """Return the folder that a server reads: as the root folder of its pod would be."""
        return self.path / "servers" / name

    def admin_socket(self, server: str) -> Path:
        """Return the socket of a server's admin API: without the cluster's name, which may be long.

        A server is named CLUSTER-REVISION-SUFFIX.
        """
        return self.run / f"{'-'.join(server.rsplit('-', 2)[-2:])}.sock"

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.logs / f"{name}.log"

    def prepare(self) -> None:
        """Create the folder; raises StateFolderError when that fails or its path is too long for sockets.

        A folder with other content is refused: files in it that are named like the platform's would be removed.
        """
        length = len(os.fsencode(self.path)) + LONGEST_NAME
        if length > LONGEST_SOCKET:
            raise StateFolderError(
                f"{self.path} is too long by {length - LONGEST_SOCKET} bytes for the sockets in it:"
                " choose a shorter folder with --state-dir"
            )
        try:
            if self.path.is_dir() and not self.lock.exists() and any(self.path.iterdir()):
                raise StateFolderError(
                    f"{self.path} has other things in it: choose an empty or a new folder with --state-dir"
                )
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.lock.touch(mode=0o600)
            for folder in (self.run, self.secrets, self.redis, self.logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            raise StateFolderError(f"{self.path} cannot be used: {error.strerror}") from error

    def clean(self) -> bool:
        """Remove the remains of ended processes, but no credentials and latest logs; return True if there were any.

        The caller must hold the lock.
        """
        left = [self.path / "servers", *self.run.iterdir()]
        left = [entry for entry in left if entry.exists() or entry.is_socket()]
        for entry in left:
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        logs = sorted(self.logs.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
        for log in logs[KEPT_LOGS:]:
            log.unlink()
        return bool(left)
