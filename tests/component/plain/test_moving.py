"""Plain clients when servers go: the program of the guide, with `ws` of npm, through a drain and a death."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from realtime_operator.api.base import JsonObject, JsonValue
from tests.component.plain.routes_site import SECONDS, opened
from tests.kit.balancer import Balancer
from tests.kit.deadline import eventually
from tests.kit.document import object_at, parse, whole_at
from tests.kit.redis_process import running_redis
from tests.kit.sdk import PROGRAM
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "plain-websocket.md"
ROUTE: JsonObject = {"name": "orders", "envelope": "json", "subscribe": ["chat:{query.id}"]}
PROTOCOLS: JsonObject = {"web_socket": {"routes": [ROUTE]}}
TOKEN = connection_token(TOKEN_SECRET, "device")


class Device:
    """Running program of the guide."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def message(self) -> JsonObject:
        """Return the next message that it prints; what it prints of errors is passed on."""
        assert self._process.stdout is not None
        async with asyncio.timeout(4 * SECONDS):
            return parse(await self._process.stdout.readline())

    async def subscribed(self) -> JsonObject:
        """Return the position of the next subscription."""
        message = await self.message()
        assert "subscribed" in message, message
        return object_at(message, "subscribed")


@contextlib.asynccontextmanager
async def device(folder: Path, url: str) -> AsyncIterator[Device]:
    """Run the program of the guide."""
    shown = re.search(r"`device\.mjs`:\n\n```javascript\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert shown is not None
    program = folder / "device.mjs"
    program.write_text(shown[1])
    (folder / "node_modules").symlink_to(PROGRAM.parent / "node_modules")
    node = shutil.which("node")
    assert node is not None
    process = await asyncio.create_subprocess_exec(node, str(program), url, TOKEN, stdout=asyncio.subprocess.PIPE)
    try:
        yield Device(process)
    finally:
        process.kill()
        await process.wait()


async def test_a_device_misses_nothing_when_servers_are_drained_and_die(tmp_path: Path) -> None:
    """Every publication arrives once and in order, through a drain, and after a server was killed."""
    with running_redis() as redis:
        async with (
            ServerProcess("plain-a", redis, protocols=PROTOCOLS) as one,
            ServerProcess("plain-b", redis, protocols=PROTOCOLS) as other,
            Balancer([one.client_port]) as balancer,
            other.api() as api,
            device(tmp_path, f"ws://127.0.0.1:{balancer.port}/ws/orders?id=1") as client,
        ):
            begun = await client.subscribed()
            assert begun["offset"] == 0
            received: list[JsonValue] = []

            async def publish(number: int) -> None:
                await api.publish("chat:1", number)

            async def receive(count: int) -> None:
                for _ in range(count):
                    message = await client.message()
                    received.append(message["data"])
                    assert whole_at(message, "offset") == len(received)

            await publish(1)
            await receive(1)
            balancer.endpoints = []
            await one.admin("POST", "drain", {"connections_per_second": 100})
            await eventually(one.state, lambda state: state == "drained", what="drained", within=SECONDS, every=0.05)
            await publish(2)
            balancer.endpoints = [other.client_port]
            assert (await client.subscribed())["recovered"] is True
            await receive(1)
            await one.admin("POST", "resume", {})
            balancer.endpoints = [one.client_port]
            balancer.cut()
            assert (await client.subscribed())["recovered"] is True
            assert one.process is not None
            balancer.endpoints = []
            one.process.send_signal(signal.SIGKILL)
            await one.process.wait()
            await publish(3)
            await publish(4)
            balancer.endpoints = [other.client_port]
            assert await client.subscribed() == {"offset": 2, "epoch": begun["epoch"], "recovered": True}
            await receive(2)
            assert received == [1, 2, 3, 4]


async def test_a_moved_connection_has_the_code_for_a_restart() -> None:
    """A drain and the end of a server; the metrics have the cause."""
    async with ServerProcess("plain-moves", None, protocols=PROTOCOLS) as server:
        url = f"ws://127.0.0.1:{server.client_port}/ws/orders?id=1&access_token={TOKEN}"
        async with opened(url) as client:
            await client.document()
            await server.admin("POST", "drain", {"connections_per_second": 100})
            assert await client.closed() == (1012, "service restart")
        assert 'realtime_server_disconnects_total{code="3011",worker="0"} 1.0' in await server.metrics()
        await server.admin("POST", "resume", {})
        async with opened(url) as client:
            await client.document()
            assert server.process is not None
            server.process.send_signal(signal.SIGTERM)
            server.process.send_signal(signal.SIGTERM)
            assert await client.closed() == (1012, "service restart")
