"""Compression where it is on: of messages for WebSockets that offer it, and of answers to polls."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from realtime_operator.api.base import JsonObject, JsonValue
from tests.component.socket_io.conftest import PROTOCOLS, http_url
from tests.kit.deadline import eventually
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.socket_io import JavaScriptSocketIo, SocketOptions
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")
LONG: JsonValue = [{"symbol": "BTCUSD", "price": number / 7, "side": "buy"} for number in range(500)]
SIZE = len(json.dumps(LONG))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def compressing() -> AsyncIterator[ServerProcess]:
    """Start a server that compresses messages of at least 1,024 bytes."""
    settings: JsonObject = {"enabled": True, "threshold_bytes": 1024}
    async with ServerProcess("compressing", None, compression=settings, protocols=PROTOCOLS) as process:
        yield process


async def bytes_sent(server: ServerProcess) -> float:
    """Return the number of bytes that the server has sent to its clients."""
    families = text_string_to_metric_families(await server.metrics())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == "realtime_server_bytes_sent_total"
    )


def socket(room: str) -> SocketOptions:
    """Return a socket that is in a room from the beginning."""
    return SocketOptions("/chat", {"token": connection_token(TOKEN_SECRET, "ann", channels=[f"chat:{room}"])})


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"]], ids="-".join)
async def test_messages_are_compressed(compressing: ServerProcess, transports: Sequence[str]) -> None:
    """Publications, acknowledgements and binary data arrive whole, in a fraction of their size."""
    room = uuid.uuid4().hex
    async with (
        JavaScriptSocketIo(http_url(compressing), transports, [socket(room)]) as client,
        compressing.api() as api,
    ):
        [record] = client.records
        await record.connected()
        await eventually(client.transport, lambda name: name == "websocket", what="upgraded", within=15, every=0.01)
        before = await bytes_sent(compressing)
        await api.publish(f"chat:{room}", LONG)
        await record.got(("message", [LONG]))
        await api.call("emit", namespace="/chat", rooms=[room], event="all", args=[LONG])
        await record.got(("all", [LONG]))
        assert await client.emit("publish", room, "message", b"\x00" * 20_000) == [{}]
        await record.got(("message", [b"\x00" * 20_000]))
        await api.publish(f"chat:{room}", ["short"])
        await record.got(("short", []))
        assert 0 < await bytes_sent(compressing) - before < SIZE
        assert record.ends == []


@pytest.mark.parametrize(("accepted", "coding"), [("gzip, br", "gzip"), ("br", None), ("br, gzip;q=0", None)])
async def test_answers_to_polls_are_compressed(compressing: ServerProcess, accepted: str, coding: str | None) -> None:
    """Those that are large enough, for clients that take gzip."""
    room = uuid.uuid4().hex
    url = f"{http_url(compressing)}/socket.io/?EIO=4&transport=polling"
    headers = {"Accept-Encoding": accepted}
    async with aiohttp.ClientSession(auto_decompress=False, headers=headers) as session, compressing.api() as api:
        async with session.get(url) as opened:
            assert "Content-Encoding" not in opened.headers
            url += f"&sid={json.loads((await opened.text())[1:])['sid']}"
        auth = json.dumps(dict(socket(room).auth))
        async with session.post(url, data=f"40/chat,{auth}"):
            pass
        async with session.get(url) as connected:
            assert (await connected.text()).startswith('40/chat,{"sid":')
        await api.publish(f"chat:{room}", LONG)
        async with session.get(url) as polled:
            body = await polled.read()
            assert polled.headers.get("Content-Encoding") == coding
            assert int(polled.headers["Content-Length"]) == len(body)
        text = (gzip.decompress(body) if coding else body).decode()
        assert json.loads(text.removeprefix("42/chat,")) == ["message", LONG]
        assert (len(body) < SIZE / 2) is (coding is not None)
