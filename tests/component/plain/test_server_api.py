"""What backends do with single connections: send to them, and close them with a code."""

from __future__ import annotations

import pytest

from tests.component.plain.routes_site import Site
from tests.kit.api import ApiError
from tests.kit.raw_client import raw_client
from tests.kit.server_process import TOKEN_SECRET
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def connection_of(site: Site, user: str) -> str:
    """Return the id of the newest connection of a user on the route `talk`, as its backend knows it."""
    event = await site.backend.event("connect", lambda one: one.attribute("userid") == user)
    return event.attribute("connectionid")


async def test_a_message_reaches_one_connection_by_its_id(site: Site) -> None:
    """Its user need not be named; others of the user get nothing."""
    async with site.client("talk", user="ida") as client, site.client("lobby", user="ida") as other:
        ident = await connection_of(site, "ida")
        async with site.server.api() as api:
            await api.call("send", client=ident, data={"text": "psst"})
            assert await client.receive() == '{"text": "psst"}'
            await api.call("send", client=ident, user="ida", b64data="aGVsbG8=")
            assert await client.receive() == "hello"
            await api.call("send", client=ident, user="bob", data=1)
            await api.call("send", client="unknown", data=1)
            await api.publish("open:talk", "next")
            await api.publish("open:lobby", "next")
        assert await client.receive() == '"next"'
        assert await other.receive() == '"next"'


async def test_a_message_reaches_all_connections_of_a_user_in_their_protocols(site: Site) -> None:
    async with (
        site.client("orders", user="uma", id="send") as enveloped,
        site.client("raw", user="uma") as binary,
        raw_client(site.server.url) as other,
    ):
        await enveloped.document()
        await other.connect(connection_token(TOKEN_SECRET, "uma"))
        async with site.server.api() as api:
            await api.call("send", user="uma", data={"a": 1})
        assert await enveloped.document() == {"data": {"a": 1}}
        assert await binary.receive() == b'{"a": 1}'
        assert await other.document() == {"push": {"message": {"data": {"a": 1}}}}


async def test_a_connection_is_closed_with_the_code_of_the_caller(site: Site) -> None:
    async with site.client("talk", user="cora") as client, site.client("lobby", user="cora") as other:
        ident = await connection_of(site, "cora")
        async with site.server.api() as api:
            await api.call("disconnect", client=ident, disconnect={"code": 4321, "reason": "paid no fee"})
            assert await client.closed() == (4321, "paid no fee")
            await api.publish("open:lobby", 1)
            assert await other.receive() == "1"
            await api.call("disconnect", user="cora", disconnect={"code": 4322, "reason": "all of them"})
        assert await other.closed() == (4322, "all of them")
    ended = await site.backend.event("disconnect", lambda one: one.attribute("connectionid") == ident)
    assert ended.event.get_data() == {
        "code": 4321, "reason": "paid no fee", "connected_seconds": pytest.approx(1, abs=60),
    }  # fmt: skip


async def test_nobody_is_no_target(site: Site) -> None:
    async with site.server.api() as api:
        for method, more in (("send", {"data": 1}), ("disconnect", {})):
            with pytest.raises(ApiError, match="user or client is needed"):
                await api.call(method, **more)
