"""The chat of examples/chat: two pages in a real browser and a terminal, through a restart of all servers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.browser import Page, browser
from tests.kit.chart import documents_of
from tests.kit.deadline import eventually
from tests.kit.document import object_at
from tests.kit.local_cluster import LocalCluster, local_cluster
from tests.kit.redis_process import free_port

EXAMPLE = Path(__file__).parents[3] / "examples" / "chat"
MODULES = Path(__file__).parents[2] / "kit" / "sdk" / "node_modules"
WITHIN = 60
PAUSE_SECONDS = 0.2
ROLLOUT: JsonObject = {"maxSurge": "100%", "maxUnavailable": 0, "drain": {"connectionsPerSecond": 20, "settle": "1s"}}
"""A fast one."""


@contextlib.asynccontextmanager
async def program(file: str, *arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program of the example while the body runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE / file), *arguments, env={**os.environ, **environment},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def backend_of(cluster: LocalCluster) -> AsyncIterator[str]:
    """Run the example's backend; yield its address without the slash."""
    secrets = [await cluster.credential(key) for key in (naming.KEY_TOKEN_SECRET, naming.KEY_API)]
    up = cluster.up
    arguments = (
        "--port", str(free_port()), "--clients", f"http://127.0.0.1:{up.port}",
        "--api", f"http://127.0.0.1:{up.api_port}/api", "--modules", str(MODULES),
    )  # fmt: skip
    async with program("backend.py", *arguments, TOKEN_SECRET=secrets[0], API_KEY=secrets[1]) as process:
        assert process.stdout is not None
        yield (await asyncio.wait_for(process.stdout.readline(), WITHIN)).decode().strip().removesuffix("/")


class PageUser:
    """User of a page."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self._address = address

    async def join(self, name: str) -> None:
        """Open the page and type a name, by the keyboard alone."""
        await asyncio.to_thread(self.page.open, self._address)
        await asyncio.to_thread(self.page.submit, "#name", name)
        await eventually(lambda: self.texts("#state"), lambda texts: texts == ["connected"], what="in", within=WITHIN)

    async def say(self, text: str) -> None:
        """Type a message."""
        await asyncio.to_thread(self.page.submit, "#text", text)

    async def texts(self, selector: str) -> list[str]:
        """Return the shown texts."""
        return await asyncio.to_thread(self.page.texts, selector)

    async def messages(self) -> list[str]:
        """Return the messages as `NAME: TEXT`."""
        return [text.replace("\n", ": ", 1) for text in await self.texts("#messages li")]

    async def members(self) -> list[str]:
        """Return who is here."""
        return await self.texts("#members li")


class TerminalUser:
    """User of the terminal."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lines: list[str] = []
        self._reading = asyncio.create_task(self._read(), name="terminal")

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._lines.append(line.decode().rstrip("\n"))

    async def say(self, text: str) -> None:
        """Type a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n".encode())
        await self._process.stdin.drain()

    async def messages(self) -> list[str]:
        """Return the messages."""
        return [line for line in self._lines if not line.startswith("here: ")]

    async def members(self) -> list[str]:
        """Ask who is here."""
        asked = sum(line.startswith("here: ") for line in self._lines)
        await self.say("/who")

        async def answers() -> list[str]:
            return [line for line in self._lines if line.startswith("here: ")]

        lines = await eventually(answers, lambda found: len(found) > asked, what="an answer", within=WITHIN, every=0.02)
        return lines[-1].removeprefix("here: ").split(", ")


User = PageUser | TerminalUser


async def all_see(users: Sequence[User], messages: Sequence[str]) -> None:
    """Wait until all see exactly these messages, in one order."""

    async def read() -> list[list[str]]:
        return [await user.messages() for user in users]

    def same(shown: list[list[str]]) -> bool:
        return sorted(shown[0]) == sorted(messages) and all(one == shown[0] for one in shown)

    await eventually(read, same, what=f"{len(messages)} messages everywhere", within=WITHIN)


async def all_know(users: Sequence[User], *names: str) -> None:
    """Wait until all know who is here."""

    async def read() -> list[list[str]]:
        return [await user.members() for user in users]

    await eventually(
        read, lambda shown: all(one == [*names] for one in shown), what=f"{names} everywhere", within=WITHIN
    )


async def restart(cluster: LocalCluster) -> None:
    """Restart all servers, and wait until the old ones have gone."""

    async def names() -> set[str]:
        return {server.name for server in await cluster.servers()}

    before = await names()
    await cluster.up.answer("rollout", "restart")
    await eventually(names, before.isdisjoint, what="new servers", within=WITHIN)
    await cluster.wait_ready()


async def test_three_protocols_share_a_room_through_a_restart() -> None:
    """All see each other and every message, once and in one order, also those of the restart and those before it."""
    async with (
        local_cluster() as cluster,
        contextlib.AsyncExitStack() as stack,
    ):
        [document] = documents_of((EXAMPLE / "chat.yaml").read_text())
        spec = object_at(document, "spec")
        await cluster.apply({**document, "spec": {**spec, "rollout": ROLLOUT}})
        await cluster.wait_ready()
        address = await stack.enter_async_context(backend_of(cluster))
        first, second = [await asyncio.to_thread(stack.enter_context, browser()) for _ in range(2)]
        ann, bob = PageUser(first, f"{address}/centrifuge.html"), PageUser(second, f"{address}/socket-io.html")
        await ann.join("ann")
        await ann.say("anybody here?")
        await bob.join("bob")
        cem = TerminalUser(await stack.enter_async_context(program("terminal.py", "cem", "--backend", address)))
        users: tuple[User, ...] = (ann, bob, cem)
        await all_know(users, "ann", "bob", "cem")
        await cem.say("hello from the terminal")
        await bob.say("hello from Socket.IO")
        expected = ["ann: anybody here?", "cem: hello from the terminal", "bob: hello from Socket.IO"]
        await all_see(users, expected)
        for each in (first, second):
            assert await asyncio.to_thread(each.console_errors) == []

        restarting = asyncio.create_task(restart(cluster), name="restart")
        number = 0
        while not restarting.done():
            for name, user in zip(("ann", "bob", "cem"), users, strict=True):
                await user.say(f"message {number}")
                expected.append(f"{name}: message {number}")
            number += 1
            await asyncio.sleep(PAUSE_SECONDS)
        await restarting
        await all_see(users, expected)
        await all_know(users, "ann", "bob", "cem")
        if "CHAT_SCREENSHOT" in os.environ:
            await asyncio.to_thread(first.screenshot, os.environ["CHAT_SCREENSHOT"])

        await ann.join("dan")
        await all_know(users, "bob", "cem", "dan")
        shown = await ann.messages()
        assert shown[-20:] == (await bob.messages())[-20:], "who comes later sees the last messages"
        assert 40 < len(shown) <= 50, "some may be in the history twice: they were sent again"
