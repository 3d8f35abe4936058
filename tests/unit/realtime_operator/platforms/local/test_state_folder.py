"""Tests of the state folder: its place, its permissions, its cleaning."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from pathlib import Path

import pytest

from realtime_operator import naming
from realtime_operator.errors import StateFolderError
from realtime_operator.platforms.local.fleet import SUFFIX_LENGTH
from realtime_operator.platforms.local.state_folder import (
    ENV_STATE_DIR,
    KEPT_LOGS,
    LONGEST_NAME,
    LONGEST_SOCKET,
    StateFolder,
    default_path,
)


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The own variable comes first, then XDG's, then the home folder."""
    monkeypatch.delenv(ENV_STATE_DIR, raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    assert default_path() == Path("/home/me/.local/state/realtime")
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert default_path() == Path("/xdg/realtime")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert default_path() == Path("/home/me/.local/state/realtime"), "its specification has relative paths ignored"
    monkeypatch.setenv(ENV_STATE_DIR, "/own")
    assert default_path() == Path("/own")


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers run in another folder, and addresses of sockets begin with /."""
    monkeypatch.chdir(tmp_path)
    assert StateFolder(Path("state")).admin_socket("chat-a-b") == tmp_path / "state" / "run" / "a-b.sock"


def test_only_its_owner_may_look_into_it(folder: StateFolder) -> None:
    """The folder and those in it get mode 0700, also when they existed with another mode."""
    folder.path.chmod(0o755)
    folder.prepare()
    for path in (folder.path, folder.run, folder.secrets, folder.redis, folder.logs):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_path_that_is_too_long_for_sockets_is_refused() -> None:
    """The error comes before anything is created, with advice."""
    with pytest.raises(StateFolderError, match=r"too long by \d+ bytes .* --state-dir"):
        StateFolder(Path("/") / ("x" * 80)).prepare()


def test_the_longest_path_has_room_for_every_socket(folder: StateFolder) -> None:
    """A cluster with the longest name and a server with many workers fit."""
    length = LONGEST_SOCKET - LONGEST_NAME
    longest = StateFolder(folder.path / ("x" * (length - len(str(folder.path)) - 1)))
    longest.prepare()
    server = f"{naming.revision_object('c' * naming.MAX_CLUSTER_NAME_LENGTH, 'r' * 10)}-{'s' * SUFFIX_LENGTH}"
    temporary = longest.run / "realtime-server-12345678"
    temporary.mkdir()
    for path in (longest.control, longest.admin_socket(server), temporary / "worker-63.sock"):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
        assert len(os.fsencode(path)) <= LONGEST_SOCKET
    with pytest.raises(StateFolderError, match="too long by 1 bytes"):
        StateFolder(longest.path.with_name(f"{longest.path.name}x")).prepare()


def test_a_folder_that_cannot_be_made_is_named(folder: StateFolder) -> None:
    (folder.path / "file").touch()
    with pytest.raises(StateFolderError, match=r"file/state cannot be used: Not a directory"):
        StateFolder(folder.path / "file" / "state").prepare()


@pytest.mark.parametrize("name", ["servers", "run", "logs", "cluster.yaml"])
def test_a_folder_with_other_things_in_it_is_refused(folder: StateFolder, name: str) -> None:
    """Files with the platform's names would be removed; the folder's mode is not changed either."""
    project = folder.path / "project"
    (project / name).mkdir(parents=True)
    project.chmod(0o755)
    with pytest.raises(StateFolderError, match=r"project has other things in it: .* --state-dir"):
        StateFolder(project).prepare()
    assert [path.name for path in project.iterdir()] == [name]
    assert stat.S_IMODE(project.stat().st_mode) == 0o755


def test_a_folder_of_an_earlier_run_is_used_again(folder: StateFolder) -> None:
    """The folder is recognized by its lock, which is created first."""
    shutil.rmtree(folder.logs)
    folder.prepare()
    assert folder.logs.is_dir()


def test_what_processes_left_is_cleaned_and_credentials_stay(folder: StateFolder) -> None:
    """Sockets, servers' folders and all but the latest logs are removed; a second call finds nothing."""
    (folder.secrets / "chat-credentials").mkdir()
    (folder.secrets / "chat-credentials" / "api-key").write_text("key")
    folder.server("chat-a").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder.admin_socket("chat-a")))
    for number in range(KEPT_LOGS + 5):
        folder.log(f"chat-{number}").touch()
        os.utime(folder.log(f"chat-{number}"), (number, number))
    assert folder.clean()
    assert not folder.server("chat-a").exists()
    assert list(folder.run.iterdir()) == []
    assert (folder.secrets / "chat-credentials" / "api-key").read_text() == "key"
    assert len(list(folder.logs.iterdir())) == KEPT_LOGS
    assert not folder.log("chat-0").exists()
    assert not folder.clean()
