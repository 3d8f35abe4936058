"""What breaks WebSocket itself, on a route: the code of RFC 6455, and a bystander that notices nothing."""

from __future__ import annotations

import pytest

from tests.component.plain.routes_site import Site
from tests.kit.raw_client import frame, raw_stream, request
from tests.kit.server_process import TOKEN_SECRET
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(0x81, b"\xff\xfe"), 1007),
        (frame(0x81, b"{}", masked=False), 1002),
        (frame(0xF1, b"{}"), 1002),
        (frame(0x83, b"{}"), 1002),
        (frame(0x80, b"{}"), 1002),
        (frame(0x89, b"x" * 126), 1002),
        (frame(0x81, b"x" * 500_000), 1009),
        (frame(0x81, b"x" * 66_000), 1009),
    ],
    ids=["utf8", "unmasked", "reserved-bits", "opcode", "continuation", "large-ping", "large-frame", "large-message"],
)
async def test_a_client_that_breaks_the_protocol_leaves_alone(site: Site, data: bytes, code: int) -> None:
    token = connection_token(TOKEN_SECRET, "mallory")
    async with site.client("lobby") as bystander, raw_stream(site.server.client_port) as client:
        await client.send(request(f"/ws/lobby?access_token={token}"))
        assert (await client.response())[0] == 101
        await client.send(data)
        assert (await client.closed())[0] == code
        await site.publish("open:lobby", code)
        assert await bystander.receive() == str(code)
