"""What plain clients receive: data alone or in an envelope, in the channels of their route, from any protocol."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlencode

import pytest
from websockets.exceptions import InvalidStatus

from tests.component.plain.routes_site import ORIGIN, Site, opened
from tests.kit.raw_client import raw_client
from tests.kit.server_process import TOKEN_SECRET
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = connection_token(TOKEN_SECRET, "alice", meta={"tenant": "acme"})


async def test_a_bare_message_is_the_data_alone(site: Site) -> None:
    """Also of a publication through Centrifugo's protocol."""
    async with site.client("lobby") as client, raw_client(site.server.url) as other:
        await site.publish("open:lobby", {"text": "hello"})
        assert await client.receive() == '{"text": "hello"}'
        await other.connect(TOKEN)
        await other.command(id=2, publish={"channel": "open:lobby", "data": [1]})
        assert await client.receive() == "[1]"


async def test_a_binary_route_carries_any_bytes(site: Site) -> None:
    """A client of the JSON protocol gets base64."""
    async with (
        site.client("raw") as sender,
        site.client("raw", user="bob") as client,
        raw_client(site.server.url) as other,
    ):
        await (await other.connect(TOKEN)).subscribe("open:raw")
        await sender.send(b"\x00\xff")
        assert await client.receive() == b"\x00\xff"
        assert await sender.receive() == b"\x00\xff", "the sender is a subscriber too"
        assert await other.publication() == "AP8="


async def test_an_envelope_has_channel_position_and_sender(site: Site) -> None:
    async with site.client("orders", id="1") as client:
        begun = await client.document()
        position = begun["subscribed"]
        assert begun["channel"] == "chat:1"
        assert isinstance(position, dict)
        await client.send({"text": "hi"})
        message = await client.document()
        assert message == {
            "channel": "chat:1", "offset": 1, "epoch": position["epoch"], "data": {"text": "hi"}, "user": "alice",
        }  # fmt: skip


async def test_a_large_message_is_compressed_for_those_who_offer_it(site: Site) -> None:
    """The same text arrives in both ways."""
    text = "x" * 5000
    token = {"Authorization": f"Bearer {TOKEN}"}
    async with opened(site.url("lobby"), headers=token, compression="deflate") as client, site.client("lobby") as plain:
        assert client.connection.protocol.extensions
        await site.publish("open:lobby", text)
        assert json.loads(await client.receive()) == json.loads(await plain.receive()) == text


async def test_control_frames_and_fragments_are_those_of_websocket(site: Site) -> None:
    """A ping is answered, and a message in fragments is one message."""
    async with site.client("raw", user="fragments") as client:
        await asyncio.wait_for(await client.connection.ping(b"are you there"), 15)
        await client.connection.send([b"in ", b"three ", b"parts"])
        assert await client.receive() == b"in three parts"
        await client.connection.close(4999, "done")
        assert client.connection.close_code == 4999


@pytest.mark.parametrize("way", ["header", "query", "subprotocol", "cookie"])
async def test_a_token_arrives_in_every_way(site: Site, way: str) -> None:
    """Its claims make the channels: of the user, and of the tenant."""
    headers, subprotocols, query = {}, [], {}
    if way == "header":
        headers["Authorization"] = f"Bearer {TOKEN}"
    elif way == "query":
        query["access_token"] = TOKEN
    elif way == "subprotocol":
        subprotocols = ["access_token", TOKEN]
    else:
        headers |= {"Cookie": f"other=1; session={TOKEN}", "Origin": ORIGIN}
    async with opened(site.url("personal", **query), headers=headers, subprotocols=subprotocols) as client:
        assert client.connection.subprotocol == ("access_token" if subprotocols else None)
        await site.publish("closed:alice", 1)
        assert await client.receive() == "1"
        await site.publish("closed:acme.all", 2)
        assert await client.receive() == "2"


async def test_the_subprotocol_of_a_route_is_chosen(site: Site) -> None:
    offered = ["other", "lobby.v1", "access_token", TOKEN]
    async with opened(site.url("lobby"), subprotocols=offered) as client:
        assert client.connection.subprotocol == "lobby.v1"


@pytest.mark.parametrize(
    ("route", "query", "headers", "why"),
    [
        ("orders", {}, {}, "{query.id}: is missing"),
        ("orders", {"id": ""}, {}, "{query.id}: is empty"),
        ("orders", {"id": "a:b"}, {}, "{query.id}: has a character that is not allowed"),
        ("orders", {"id": "#alice"}, {}, "{query.id}: has a character that is not allowed"),
        ("orders", {"id": "x" * 129}, {}, "{query.id}: is longer than 128 bytes"),
        ("device", {}, {}, "{header.x-device}: is missing"),
        ("device", {}, {"X-Device": "a b"}, "{header.x-device}: has a character that is not allowed"),
        ("orders", {"id": "1", "since": "x"}, {}, "since must be an offset"),
        ("orders", {"id": "1", "since": "1"}, {}, "since needs epoch"),
        ("feed", {"since": "1", "epoch": "x"}, {}, "has no envelope"),
        ("two", {"a": "1", "b": "1", "since": "1", "epoch": "x"}, {}, "several channels: give OFFSET:EPOCH:CHANNEL"),
        ("two", {"a": "1", "b": "1", "since": "1:x"}, {}, "since must be OFFSET:EPOCH:CHANNEL for each"),
        ("lobby", {"since": "1", "epoch": "x"}, {}, "has no envelope"),
    ],
)
async def test_a_bad_value_is_refused_at_the_handshake(
    site: Site, route: str, query: dict[str, str], headers: dict[str, str], why: str
) -> None:
    """The answer names the placeholder; it is 400, whatever the token is."""
    with pytest.raises(InvalidStatus) as caught:
        async with opened(site.url(route, **query), headers=headers):
            pass
    response = caught.value.response
    assert (response.status_code, why in (response.body or b"").decode()) == (400, True), response.body


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", (3500, "invalid token")),
        ("nonsense", (3500, "invalid token")),
        (connection_token(TOKEN_SECRET, "alice", lifetime=-60), (3005, "connection expired")),
    ],
)
async def test_a_bad_token_is_a_close_code(site: Site, token: str, code: tuple[int, str]) -> None:
    """A browser sees the code of a close frame, and nothing of a refused handshake."""
    async with opened(site.url("lobby", **({"access_token": token} if token else {}))) as client:
        assert await client.closed() == code


async def test_a_channel_that_the_client_chooses_has_the_rules_of_its_namespace(site: Site) -> None:
    """One of claims alone is granted by the route: see `personal`, in the same namespace."""
    async with site.client("guarded", id="alice") as client:
        assert await client.closed() == (3507, "permission denied")
    token = connection_token(
        TOKEN_SECRET, "alice", caps=[{"channels": ["closed:*"], "match": "wildcard", "allow": ["sub"]}]
    )
    async with opened(site.url("guarded", id="alice", access_token=token)) as client:
        await site.publish("closed:alice", 1)
        assert await client.receive() == "1"


async def test_a_claim_that_is_missing_is_named(site: Site) -> None:
    async with site.client("personal") as client:
        assert await client.closed() == (3507, "{meta.tenant}: is missing")


async def test_another_origin_cannot_use_a_cookie(site: Site) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with opened(
            site.url("personal"), headers={"Cookie": f"session={TOKEN}", "Origin": "https://evil.example"}
        ):
            pass
    assert caught.value.response.status_code == 403


async def test_an_unknown_route_is_not_found(site: Site) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with opened(site.url("other")):
            pass
    assert caught.value.response.status_code == 404


async def test_positions_in_several_channels_are_resumed(site: Site) -> None:
    """A client keeps the position of each channel from its messages."""
    channels = {"a": "resumed", "b": "resumed"}
    positions: dict[str, str] = {}
    async with site.client("two", **channels) as client:
        for _ in range(3):
            begun = await client.document()
            at = begun["subscribed"]
            assert isinstance(at, dict)
            if "epoch" in at:
                positions[str(begun["channel"])] = f"{at['offset']}:{at['epoch']}:{begun['channel']}"
    assert set(positions) == {"chat:resumed", "feed:resumed"}
    await site.publish("chat:resumed", 1)
    await site.publish("feed:resumed", 2)
    url = f"{site.url('two', access_token=connection_token(TOKEN_SECRET, 'alice'), **channels)}&"
    url += urlencode([("since", position) for position in positions.values()])
    async with opened(url) as client:
        found = [await client.document() for _ in range(5)]
    assert [one["data"] for one in found if "data" in one] == [1, 2]
    recovered = [at.get("recovered") for one in found if isinstance(at := one.get("subscribed"), dict)]
    assert recovered == [True, True, None]
