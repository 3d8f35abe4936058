"""Listening of several workers on one port, and leaving without resets."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from realtime_server.listening import LEAVE_SECONDS, Listener, ReusePortGroup, bind, bind_unix
from tests.kit.redis_process import free_port


def group(name: bytes, port: int) -> ReusePortGroup:
    """Return a group member that answers each connection with its name."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name)
        writer.close()

    async def accept(bound: socket.socket) -> Callable[[], Awaitable[None]]:
        server = await asyncio.start_server(greet, sock=bound, backlog=1024)

        async def close() -> None:
            server.close()

        return close

    return ReusePortGroup([Listener("127.0.0.1", port, accept)])


async def greeting(port: int) -> bytes:
    """Return the name of the member that answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_members_share_a_port_and_one_that_left_gets_nobody() -> None:
    """Both members are reached; after one has left only the other, and after its return both again."""
    port = free_port()
    first, second = group(b"first", port), group(b"second", port)
    await first.join()
    await second.join()
    assert set(await asyncio.gather(*(greeting(port) for _ in range(64)))) == {b"first", b"second"}
    await first.leave()
    assert not first.joined
    assert set(await asyncio.gather(*(greeting(port) for _ in range(64)))) == {b"second"}
    await first.join()
    assert set(await asyncio.gather(*(greeting(port) for _ in range(64)))) == {b"first", b"second"}
    await first.leave()
    await second.leave()


async def test_nobody_is_reset_while_a_member_leaves() -> None:
    """Connections that are opened in bursts while a member leaves are all answered."""
    port = free_port()
    first, second = group(b"first", port), group(b"second", port)
    await first.join()
    await second.join()
    answers: Counter[bytes] = Counter()
    busy = asyncio.Event()

    async def keep_connecting() -> None:
        for _ in range(40):
            answers[await greeting(port)] += 1
            if answers.total() > 100:
                busy.set()

    crowd = [asyncio.create_task(keep_connecting(), name=f"client-{number}") for number in range(16)]
    await busy.wait()
    await first.leave()
    await asyncio.gather(*crowd)
    assert answers.total() == 640
    assert set(answers) == {b"first", b"second"}
    await second.leave()


def test_nobody_is_reset_when_the_event_loop_runs_late() -> None:
    """Connections that are in the queue, or come, while the loop is too busy to accept them are answered."""
    uvloop.run(_leave_late())


async def _leave_late() -> None:
    port = free_port()
    first, second = group(b"first", port), group(b"second", port)
    await first.join()
    await second.join()
    try:
        early = [connecting(port) for _ in range(16)]
        leaving = asyncio.create_task(first.leave(), name="leave")
        await asyncio.sleep(0)
        late = [connecting(port) for _ in range(16)]
        time.sleep(LEAVE_SECONDS * 2)  # noqa: ASYNC251 - the loop is to be late
        await leaving
        answers = Counter(await asyncio.gather(*(answer_to(client) for client in early + late)))
        assert answers.total() == 32
        assert set(answers) == {b"first", b"second"}
    finally:
        await second.leave()


def connecting(port: int) -> socket.socket:
    """Return a socket that is connecting."""
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", port))
    return client


async def answer_to(client: socket.socket) -> bytes:
    """Return the name of the member that answers a connecting socket."""
    with client:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 16), 5)


async def test_joining_twice_is_joining_once() -> None:
    """Leaving twice is leaving once, too."""
    port = free_port()
    member = group(b"only", port)
    await member.join()
    await member.join()
    assert await greeting(port) == b"only"
    await member.leave()
    await member.leave()
    with pytest.raises(ConnectionRefusedError):
        await greeting(port)


async def test_a_shared_port_is_free_again_at_once() -> None:
    """Recently closed connections do not keep the port from an exclusive listener."""
    port = free_port()
    member = group(b"only", port)
    await member.join()
    assert await greeting(port) == b"only"
    await member.leave()
    bind("127.0.0.1", port, shared=False).close()


def test_an_address_that_cannot_be_had_is_named() -> None:
    """The error names the address and the reason."""
    with bind("127.0.0.1", free_port(), shared=False) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            bind("127.0.0.1", port, shared=False)


def test_every_address_is_one_of_both_families() -> None:
    """`::` accepts both families, whatever the machine's default (net.ipv6.bindv6only)."""
    with bind("::", free_port(), shared=False) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port), timeout=5):
                bound.accept()[0].close()


def test_an_ipv6_address_is_named_as_urls_have_it() -> None:
    """Brackets separate the address from the port."""
    with pytest.raises(OSError, match=r"cannot listen on \[2001:db8::1\]:8000: Cannot assign requested address"):
        bind("2001:db8::1", 8000, shared=False)


def test_a_socket_that_was_left_is_replaced_and_another_is_not(tmp_path: Path) -> None:
    """The socket of a running server and a file, such as a key named by mistake, are not replaced."""
    path = tmp_path / "admin.sock"
    with bind_unix(path) as first:
        first.listen()
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(OSError, match=r"admin\.sock: another server listens on it"):
            bind_unix(path)
    bind_unix(path).close()
    file = tmp_path / "token"
    file.write_text("secret")
    with pytest.raises(OSError, match=r"token: the path exists and is not a socket"):
        bind_unix(file)
    assert file.read_text() == "secret"
    with pytest.raises(OSError, match=r"cannot listen on .*/missing/admin\.sock: No such file"):
        bind_unix(tmp_path / "missing" / "admin.sock")
