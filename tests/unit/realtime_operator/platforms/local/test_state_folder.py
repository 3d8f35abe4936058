"""The folder of the local platform: where it is, who may look into it, what is cleaned."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_operator.errors import StateFolderError
from realtime_operator.platforms.local.state_folder import ENV_STATE_DIR, KEPT_LOGS, StateFolder, default_path


@pytest.fixture
def folder() -> Iterator[StateFolder]:
    """A folder with a short path, prepared."""
    with tempfile.TemporaryDirectory(prefix="rt-") as path:
        made = StateFolder(Path(path) / "state")
        made.prepare()
        yield made


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own variable first, then XDG's, then the home folder."""
    monkeypatch.delenv(ENV_STATE_DIR, raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    assert default_path() == Path("/home/me/.local/state/realtime")
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert default_path() == Path("/xdg/realtime")
    monkeypatch.setenv(ENV_STATE_DIR, "/own")
    assert default_path() == Path("/own")


def test_only_its_owner_may_look_into_it(folder: StateFolder) -> None:
    """Mode 0700, also when it was there with another one."""
    folder.path.chmod(0o755)
    folder.prepare()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_path_that_is_too_long_for_sockets_is_refused() -> None:
    """Before anything is made, with what to do."""
    with pytest.raises(StateFolderError, match=r"too long by \d+ bytes .* --state-dir"):
        StateFolder(Path("/") / ("x" * 80)).prepare()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason."""
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StateFolderError, match=r"file/state cannot be used: Not a directory"):
        StateFolder(Path("file/state")).prepare()


def test_what_processes_left_is_cleaned_and_credentials_stay(folder: StateFolder) -> None:
    """Sockets and servers' folders go, and all but the latest logs; a second time there is nothing to do."""
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
