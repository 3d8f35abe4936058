"""What messages of plain clients do: publish, go to the backend, or fail; and what that leaves of others."""

from __future__ import annotations

import contextlib
import json

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_server.hooks.cloud_events import sign_event
from tests.component.plain.routes_site import SECONDS, SIGNING_KEY, Site, opened
from tests.kit.cloud_events_backend import ReceivedEvent
from tests.kit.deadline import eventually
from tests.kit.raw_client import raw_client
from tests.kit.server_process import TOKEN_SECRET
from tests.kit.tokens import connection_token

NO_ACTION = "no action is for this message"
DENIED = "permission denied: this client may not publish in {}"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
pytestmark = pytest.mark.asyncio(loop_scope="module")


def quoted(received: ReceivedEvent) -> web.Response:
    """Answer with what was received."""
    return web.Response(body=b'{"price":7,"asked":%b}' % received.body, content_type="application/json")


async def test_a_selected_message_goes_to_its_hook_and_gets_its_reply(site: Site) -> None:
    """The event has who and what as attributes; replies have the id of their message."""
    site.backend.answers["quote"] = quoted
    async with site.client("orders", id="q") as client:
        await client.document()
        await client.send({"action": "quote", "id": "a1", "item": "tea"})
        assert await client.document() == {
            "id": "a1", "data": {"price": 7, "asked": {"action": "quote", "id": "a1", "item": "tea"}},
        }  # fmt: skip
    event = await site.backend.event("quote", lambda one: b"tea" in one.body)
    expected = {
        "specversion": "1.0", "type": "dev.realtime.message", "source": "/ws/orders", "action": "quote",
        "userid": "alice", "datacontenttype": "application/json",
    }  # fmt: skip
    assert {name: event.attribute(name) for name in expected} == expected
    assert event.attribute("id")
    assert event.attribute("time")
    assert event.attribute("connectionid")


async def test_a_client_cannot_pretend_to_be_another(site: Site) -> None:
    """Its headers are passed on where the configuration says so, but not as attributes; the signature is of those."""
    site.backend.answers["quote"] = lambda _: web.Response(status=204)
    token = connection_token(TOKEN_SECRET, "eve")
    headers = {"Authorization": f"Bearer {token}", "X-Device": "d7", "ce-userid": "alice"}
    async with opened(site.url("orders", id="sign"), headers=headers) as client:
        await client.document()
        await client.send({"action": "quote", "id": 1, "from": "eve"})
        assert await client.document() == {"id": 1}
    event = await site.backend.event("quote", lambda one: b'"eve"' in one.body)
    assert (event.attribute("userid"), event.headers["x-device"]) == ("eve", "d7")
    sent_at = int(event.headers["x-realtime-signature"].partition(",")[0].removeprefix("t="))
    assert event.headers["x-realtime-signature"] == sign_event(event.headers, event.body, SIGNING_KEY, sent_at)


async def test_every_message_with_an_id_is_answered_once(site: Site) -> None:
    """By the reply, by the id alone where there is none, or by an error; in their order."""
    site.backend.answers["quote"] = lambda _: web.Response(status=204)
    async with site.client("orders", id="ids") as client:
        await client.document()
        await client.send({"id": 1, "action": "quote"})
        await client.send({"id": 2, "action": "order"})
        await client.send({"id": 3, "action": "unknown", "text": "x"})
        assert await client.document() == {"id": 1}
        assert await client.document() == {"id": 2, "error": {"code": 103, "message": DENIED.format("closed:ids")}}
        found = [await client.document(), await client.document()]
        assert {"id": 3} in found
        assert [one for one in found if one.get("offset") == 1]


@pytest.mark.parametrize(
    ("status", "code"), [(400, 107), (401, 101), (403, 103), (404, 104), (413, 106), (429, 111), (500, 100), (418, 100)]
)
async def test_a_refusal_of_the_backend_is_an_error(site: Site, status: int, code: int) -> None:
    site.backend.answers["quote"] = lambda _: web.Response(status=status)
    async with site.client("orders", id=f"status-{status}") as client:
        await client.document()
        await client.send({"id": 1, "action": "quote"})
        answer = await client.document()
        error = answer["error"]
        assert isinstance(error, dict)
        assert (answer["id"], error["code"]) == (1, code)
        assert str(error["message"]).endswith(f": the backend has answered with status {status}") == (code != 100)


@pytest.mark.parametrize(
    ("message", "closed"),
    [
        (b"\x00", (1003, "this route takes text")),
        ("no json", (1007, "the message is no JSON")),
        ({"action": "other"}, (1008, f"{NO_ACTION}: /action must be one of say, order, grant, quote")),
        ({"action": "order"}, (1008, DENIED.format("closed:1"))),
        ("x" * 1001, (1009, "message too big")),
    ],
)
async def test_without_an_envelope_a_bad_message_ends_the_connection(
    site: Site, message: str | bytes | JsonObject, closed: tuple[int, str]
) -> None:
    """And leaves others alone: an error could not be told from data."""
    async with (
        site.client("strict", user="bob", id="1") as bystander,
        site.client("strict", id="1") as client,
    ):
        await client.send(message)
        assert await client.closed() == closed
        await bystander.send({"action": "say", "text": "still here"})
        assert await bystander.document() == {"action": "say", "text": "still here"}


async def test_text_on_a_binary_route_ends_the_connection(site: Site) -> None:
    async with site.client("raw") as client:
        await client.send("text")
        assert await client.closed() == (1003, "this route takes binary messages")


async def test_a_backend_that_fails_ends_a_bare_connection(site: Site) -> None:
    site.backend.answers["quote"] = lambda _: web.Response(status=500)
    async with site.client("strict", id="1") as client:
        await client.send({"action": "quote"})
        assert await client.closed() == (1011, "internal server error")


async def test_a_channel_of_the_configuration_alone_is_granted(site: Site) -> None:
    """Nobody may publish in its namespace otherwise."""
    caps: list[JsonValue] = [{"channels": ["closed:*"], "match": "wildcard", "allow": ["sub"]}]
    token = connection_token(TOKEN_SECRET, "carol", caps=caps)
    async with raw_client(site.server.url) as other, site.client("strict", id="1") as client:
        await (await other.connect(token)).subscribe("closed:granted")
        await client.send({"action": "grant", "text": "x"})
        assert await other.publication() == {"action": "grant", "text": "x"}


async def test_a_client_that_sends_too_fast_is_slowed_and_loses_nothing(site: Site) -> None:
    """At once go ten seconds of the route's rate and a message for each channel that it might have."""
    at_once = 10 * 20 + 128 + 1
    async with site.client("strict", id="1") as client:
        for number in range(at_once + 10):
            await client.send({"action": "say", "number": number})
        received = [(await client.document())["number"] for _ in range(at_once + 10)]
        assert received == list(range(at_once + 10))


async def test_the_backend_is_told_beginning_and_end(site: Site) -> None:
    """The reply to the first arrives as a message; text is text for it too."""
    site.backend.answers["connect"] = lambda _: web.Response(text="welcome")
    site.backend.answers["message"] = lambda received: web.Response(body=b"you said " + received.body)
    async with site.client("talk", room="7") as client:
        assert await client.receive() == "welcome"
        await client.send("hello")
        assert await client.receive() == "you said hello"
        begun = site.backend.of("connect")[-1]
        ident = begun.attribute("connectionid")
        assert begun.attribute("type") == "dev.realtime.connect"
        document = begun.event.get_data()
        assert isinstance(document, dict)
        assert (document["query"], document["channels"]) == ({"room": ["7"]}, ["open:talk"]), "the token is left out"
        [message] = site.backend.of("message", ident)
        assert message.attribute("datacontenttype") == "text/plain; charset=utf-8"
        await client.connection.close(4321, "bye")
    ended = await site.backend.event("disconnect", lambda one: one.attribute("connectionid") == ident)
    assert (ended.attribute("type"), ended.attribute("userid")) == ("dev.realtime.disconnect", "alice")
    document = ended.event.get_data()
    assert isinstance(document, dict)
    assert document["code"] == 3000


async def test_the_backend_may_refuse_a_connection(site: Site) -> None:
    """Then it is not told the end, as it is of one that it has let in later."""
    site.backend.answers["connect"] = lambda _: web.Response(status=403)
    async with site.client("talk", user="refused") as client:
        assert await client.closed() == (3507, "permission denied")
    site.backend.answers.pop("connect")
    async with site.client("talk", user="admitted") as client:
        await site.backend.event("connect", lambda one: one.attribute("userid") == "admitted")
    await site.backend.event("disconnect", lambda one: one.attribute("userid") == "admitted")
    assert "refused" not in [one.attribute("userid") for one in site.backend.of("disconnect")]


async def test_many_ends_at_once_reach_a_backend_that_takes_one_at_a_time(site: Site) -> None:
    """More than its endpoint takes at once are sent one after the other, and none is lost."""
    users = {f"leaver-{number}" for number in range(40)}
    async with contextlib.AsyncExitStack() as stack:
        for user in users:
            await stack.enter_async_context(site.client("talk", user=user))

    async def told() -> set[str]:
        return users & {one.attribute("userid") for one in site.backend.of("disconnect")}

    await eventually(told, lambda found: found == users, what="all ends", within=SECONDS, every=0.05)


async def test_the_path_of_a_route_chooses_the_channel(site: Site) -> None:
    """Over both transports; the backend gets the values, and what is no path of the route is not found."""
    async with site.client("rooms/a%C3%B6/1") as client, site.client("rooms/a%C3%B6/2") as other:
        assert (await client.document())["channel"] == "chat:aö-1"
        assert (await other.document())["channel"] == "chat:aö-2"
        await client.send({"text": "hello"})
        assert (await client.document())["data"] == {"text": "hello"}
        await other.send({"text": "elsewhere"})
        assert (await other.document())["data"] == {"text": "elsewhere"}
    begun = await site.backend.event("connect", lambda one: b'"chat:a\xc3\xb6-1"' in one.body)
    assert (json.loads(begun.body)["path"], begun.attribute("source")) == ({"room": "aö", "desk": "1"}, "/ws/rooms")
    origin = f"http://127.0.0.1:{site.server.client_port}"
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}
    async with aiohttp.ClientSession() as session:
        for path, status, why in (
            ("rooms", 404, ""),
            ("rooms/a", 404, "the path is /ws/rooms/{room}/{desk}"),
            ("rooms/a/b/c", 404, "the path is /ws/rooms/{room}/{desk}"),
            ("rooms/a:b/c", 400, "{path.room}: has a character that is not allowed"),
            ("rooms/a/", 400, "{path.desk}: is empty"),
            ("rooms/%ff/c", 400, "the path must be UTF-8"),
        ):
            for headers in ({}, upgrade):
                url = URL(f"{origin}/ws/{path}", encoded=True)
                async with session.get(url, headers=headers) as refused:
                    assert refused.status == status, (path, headers)
                    assert why in await refused.text()
