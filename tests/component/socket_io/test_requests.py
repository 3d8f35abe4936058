"""Requests of Engine.IO by hand: the reference's answers, other origins, limits, and bad input beside a bystander."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from realtime_operator.api.base import JsonObject
from tests.component.socket_io.conftest import PROTOCOLS, http_url
from tests.kit.deadline import eventually
from tests.kit.raw_client import UPGRADE, raw_client
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token
from tests.unit.realtime_server.protocols.socket_io.answers import RECORDED, Recorded

pytestmark = pytest.mark.asyncio(loop_scope="module")
ORIGIN = "https://app.example.com"
SEPARATOR = "\x1e"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict() -> AsyncIterator[ServerProcess]:
    """Start a server for one origin, with small limits."""
    limits: JsonObject = {"channels_per_connection": 1, "message_bytes": 1024, "connections": 40}
    async with ServerProcess("strict", None, origins=[ORIGIN], limits=limits, protocols=PROTOCOLS) as process:
        yield process


class Polling:
    """Client that polls, request by request."""

    def __init__(self, server: ServerProcess, session: aiohttp.ClientSession) -> None:
        self.url = f"{http_url(server)}/socket.io/?EIO=4&transport=polling"
        self.session = session
        self.opened: dict[str, object] = {}

    async def open(self) -> str:
        """Open a connection, and return its id."""
        status, body = await self.get()
        assert status == 200
        assert body.startswith("0")
        self.opened = json.loads(body[1:])
        sid = str(self.opened["sid"])
        self.url += f"&sid={sid}"
        return sid

    async def get(self) -> tuple[int, str]:
        """Poll."""
        async with self.session.get(self.url) as response:
            return response.status, await response.text()

    async def post(self, body: str) -> tuple[int, str]:
        """Send packets."""
        async with self.session.post(self.url, data=body) as response:
            return response.status, await response.text()


SIMPLE = [
    one
    for one in RECORDED.values()
    if one.answer.status
    and one.name not in {"a session opens", "an empty session id", "refused", "a preflight"}
    and one.method in {"GET", "POST", "PUT"}
    and "body that" not in one.name
    and not one.name.startswith("upgrade")
]


@pytest.mark.parametrize("recorded", SIMPLE, ids=lambda one: one.name)
async def test_a_request_is_answered_as_by_the_reference(server: ServerProcess, recorded: Recorded) -> None:
    """And the connection is closed if it is closed there."""
    async with aiohttp.ClientSession() as session:
        client = Polling(server, session)
        sid = await client.open() if "SID" in recorded.query else ""
        url = f"{http_url(server)}/socket.io/?{recorded.query.replace('SID', sid)}"
        async with session.request(recorded.method, url, data=recorded.body, headers=recorded.headers) as response:
            found = (response.status, await response.text(), response.headers.get("Content-Type", ""))
        assert found[:2] == (recorded.answer.status, recorded.answer.body)
        assert found[2] == recorded.answer.type or not recorded.answer.type
        if sid:
            status, _ = await client.post("3")
            assert (status == 400) is bool(recorded.closed)


UPGRADES = [one for one in RECORDED.values() if one.name.startswith("upgrade with") and one.answer.status == 400]


@pytest.mark.parametrize("recorded", UPGRADES, ids=lambda one: one.name)
async def test_a_handshake_is_refused_as_by_the_reference(server: ServerProcess, recorded: Recorded) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"{http_url(server)}/socket.io/?{recorded.query}"
        async with session.get(url, headers={**UPGRADE, "Host": f"127.0.0.1:{server.client_port}"}) as response:
            assert (response.status, await response.text()) == (recorded.answer.status, recorded.answer.body)
            assert response.headers["Content-Type"] == recorded.answer.type


async def test_polls_that_overlap_end_the_connection(server: ServerProcess) -> None:
    """The second one is refused, as by the reference, and the first one told of the end."""
    async with aiohttp.ClientSession() as session:
        client = Polling(server, session)
        await client.open()
        polls = [asyncio.create_task(client.get()) for _ in range(2)]
        answers = sorted([await poll for poll in polls])
        assert answers == [(200, "1"), (400, "")]
        assert [each.status for each in RECORDED["polls that overlap"].answers] == [200, 400]
        assert (await client.post("3"))[1] == '{"code":1,"message":"Session ID unknown"}'


async def test_messages_are_counted_once(strict: ServerProcess) -> None:
    """Those of both transports."""

    async def received() -> float:
        families = text_string_to_metric_families(await strict.metrics())
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "realtime_server_messages_received_total"
        )

    before = await received()
    async with (
        connect(f"ws://127.0.0.1:{strict.client_port}/socket.io/?EIO=4&transport=websocket") as client,
        aiohttp.ClientSession() as session,
    ):
        await client.recv()
        await client.send("40/none,")
        await client.recv()
        polling = Polling(strict, session)
        await polling.open()
        await polling.post(f"40/none,{SEPARATOR}40/none,")
        await polling.get()
    assert await received() - before == 3


async def test_a_poll_that_is_lost_ends_the_connection(server: ServerProcess) -> None:
    """Its next request is answered so that the client opens another one."""
    async with aiohttp.ClientSession() as session:
        client = Polling(server, session)
        await client.open()
        with pytest.raises(TimeoutError):
            async with session.get(client.url, timeout=aiohttp.ClientTimeout(total=0.2)):
                pass

        async def known() -> tuple[int, str]:
            return await client.post("3")

        gone = (400, '{"code":1,"message":"Session ID unknown"}')
        await eventually(known, lambda answer: answer == gone, what="the end", within=15, every=0.05)


async def test_pages_of_other_origins_are_refused(strict: ServerProcess) -> None:
    """For polling and for WebSockets; without cookies."""
    url = f"{http_url(strict)}/socket.io/?EIO=4&transport="
    async with aiohttp.ClientSession() as session:
        for origin, status in ((ORIGIN, 200), ("https://evil.example.com", 403)):
            async with session.get(f"{url}polling", headers={"Origin": origin}) as response:
                assert response.status == status
                allowed = response.headers.get("Access-Control-Allow-Origin")
                assert allowed == (origin if status == 200 else None)
                assert "Set-Cookie" not in response.headers
        preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        async with session.options(f"{url}polling", headers=preflight) as response:
            assert response.status == 204
            assert "POST" in response.headers["Access-Control-Allow-Methods"]
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await session.ws_connect(f"{url}websocket", headers={"Origin": "https://evil.example.com"})


async def test_bad_input_is_told_counted_and_nobody_elses(strict: ServerProcess) -> None:
    """A bystander stays connected."""
    url = f"ws://127.0.0.1:{strict.client_port}/socket.io/?EIO=4&transport=websocket"
    token = connection_token(TOKEN_SECRET, "ann")
    async with connect(url) as bystander, aiohttp.ClientSession() as session:
        await bystander.send(f'40{{"token":"{token}"}}')
        for message, reason in (
            ("42", "bad request: EVENT has data"),
            ('42["x"', "bad request: the data of a packet is JSON"),
            ("7", "bad request: the type of a packet is a digit from 0 to 6"),
            ('42["x"]', "bad request: EVENT is not for now"),
        ):
            async with raw_client(url) as raw:
                await raw.say(message)
                assert await raw.closed() == (3501, reason)
        client = Polling(strict, session)
        await client.open()
        assert (await client.post("4" * (int(str(client.opened["maxPayload"])) + 1)))[0] == 413
        assert (await client.post("3"))[1] == '{"code":1,"message":"Session ID unknown"}'
        assert (await bystander.recv())[:6] == '0{"sid'
        assert (await bystander.recv())[:8] == '40{"sid"'
        await bystander.send(f'421["{"x" * 1100}"]')
        refused = '431[{"error":{"code":106,"message":"limit exceeded: an event may have 1024 bytes"}}]'
        assert await bystander.recv() == refused
    metrics = await strict.metrics()
    assert 'realtime_server_disconnects_total{code="3501"' in metrics
    assert 'realtime_server_handshakes_rejected_total{reason="unknown_session"' in metrics
    assert 'reason="too_large"' in metrics


async def test_a_client_that_is_to_come_back_gets_no_close_frame(server: ServerProcess) -> None:
    """Only what was written before, and the end of the stream: not every client notices the frame."""
    url = f"ws://127.0.0.1:{server.client_port}/socket.io/?EIO=4&transport=websocket"
    async with connect(url) as client, server.api() as api:
        await client.recv()
        await client.send(f'40{{"token":"{connection_token(TOKEN_SECRET, "zoe")}"}}')
        sid = json.loads(str(await client.recv())[2:])["sid"]
        await api.call("send", client=sid, data=["last"])
        await api.call("disconnect", client=sid, disconnect={"code": 4000, "reason": "again"})
        assert await client.recv() == '42["last"]'
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is None


async def test_the_number_of_connections_is_bounded(strict: ServerProcess) -> None:
    """Also of those without a socket."""
    async with aiohttp.ClientSession() as session:
        statuses = [(await Polling(strict, session).get())[0] for _ in range(42)]
        assert statuses[-1] == 503
        assert statuses.count(200) <= 40
