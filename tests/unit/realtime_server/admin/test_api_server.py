"""The server API, in front of a real node whose backplane is memory."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from realtime_server.admin.api_keys import ApiKeys
from realtime_server.admin.api_server import BODY_BYTES, MAX_BATCH, ApiServer, serve
from realtime_server.app import make_node
from realtime_server.core.node import Node
from realtime_server.core.ports import BackplaneError
from realtime_server.core.server_api import ServerApi
from realtime_server.core.values import ClientInfo
from realtime_server.settings import Api, ApiKey, History, Namespace, Settings
from tests.kit.server_doubles import Clock

KEY = "the-key"
LIMITED_KEY = "the-key-of-the-shop"
DATA_BYTES = 1000


@dataclass
class Site:
    """The API under test, and what its node published."""

    server: ApiServer
    node: Node
    address: str
    session: aiohttp.ClientSession
    clock: Clock

    async def post(self, method: str, body: bytes | str, **headers: str) -> tuple[int, bytes]:
        """Call with exactly this body and these headers."""
        async with self.session.post(f"{self.address}/api/{method}", data=body, headers=headers) as response:
            return response.status, await response.read()

    async def call(self, method: str, **params: object) -> object:
        """Call with the key; returns what was answered."""
        status, body = await self.post(method, json.dumps(params), **{"X-API-Key": KEY})
        assert status == 200, body
        return json.loads(body)

    async def history(self, channel: str) -> list[bytes]:
        """What the channel keeps, as clients get it."""
        status, body = await self.post("history", json.dumps({"channel": channel, "limit": -1}), **{"X-API-Key": KEY})
        assert status == 200
        return [json.dumps(publication["data"]).encode() for publication in json.loads(body)["result"]["publications"]]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """The API with a key."""
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "limited").write_text(LIMITED_KEY)
    keys = (
        ApiKey(
            name="shop", file=tmp_path / "limited", methods=("publish", "broadcast", "info"), channels=("chat:*",),
            calls_per_second=3,
        ),
    )  # fmt: skip
    settings = Settings(
        namespaces=(
            Namespace(name="chat", history=History(size=5), presence=True),
            Namespace(name="plain"),
        ),
        api=Api(key_file=tmp_path / "key", keys=keys),
    )
    clock = Clock()
    node = make_node(settings)
    await node.broker.start(node)
    server = ApiServer(ServerApi(node), ApiKeys.of(settings.api, clock=clock), data_bytes=DATA_BYTES, clock=clock)
    runner = web.AppRunner(server.application())
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session:
        yield Site(server, node, address, session, clock)
    await runner.cleanup()
    await node.broker.stop()


def error(code: int, message: str) -> object:
    """An answer that is an error."""
    return {"error": {"code": code, "message": message}}


# who may call


@pytest.mark.parametrize(
    "headers", [{"X-API-Key": KEY}, {"Authorization": f"apikey {KEY}"}, {"Authorization": f"ApiKey  {KEY} "}]
)
async def test_the_key_opens(site: Site, headers: dict[str, str]) -> None:
    """In either header."""
    status, _ = await site.post("info", "{}", **headers)
    assert status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "wrong"},
        {"X-API-Key": KEY + "x"},
        {"X-API-Key": "ü"},
        {"Authorization": KEY},
        {"Authorization": f"Bearer {KEY}"},
        {"X-API-Key": "wrong", "Authorization": f"apikey {KEY}"},
    ],
)
async def test_without_the_key_nothing_happens(site: Site, headers: dict[str, str]) -> None:
    """Whatever the method and the body are."""
    status, body = await site.post("publish", '{"channel":"chat:a","data":1}', **headers)
    assert status == 401
    assert json.loads(body)["error"]["code"] == 401
    assert (await site.post("nothing", "{", **headers))[0] == 401
    assert await site.history("chat:a") == []


async def test_without_a_key_file_every_call_is_refused() -> None:
    """Also one with an empty key."""
    node = make_node(Settings())
    server = ApiServer(ServerApi(node), ApiKeys.of(Api()))
    runner = await serve(server)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"X-API-Key": ""}, {"X-API-Key": "x"}):
            async with session.post(f"http://{host}:{port}/api/info", headers=headers) as response:
                assert response.status == 401
    await runner.cleanup()
    assert server.requests["info", 401] == 3


# what is no call


@pytest.mark.parametrize("body", ["{", "nonsense", b'{"channel":"\xff"}', b"\xff\xfe", '{"a":1} x'])
@pytest.mark.parametrize("method", ["publish", "info", "nothing"])
async def test_what_is_not_json_gets_400(site: Site, method: str, body: str | bytes) -> None:
    """With what is wrong with it."""
    status, answer = await site.post(method, body, **{"X-API-Key": KEY})
    assert status == 400
    assert json.loads(answer)["error"]["code"] == 400


async def test_data_that_is_nested_too_deeply_gets_400(site: Site) -> None:
    """No client could read it."""
    body = '{"channel":"chat:a","data":' + "[" * 100_000 + "]" * 100_000 + "}"
    assert (await site.post("publish", body, **{"X-API-Key": KEY}))[0] == 400


async def test_a_body_that_is_too_large_gets_413(site: Site) -> None:
    """It is not read to its end."""
    body = io.BytesIO(b" " * (BODY_BYTES + 1))
    async with site.session.post(f"{site.address}/api/publish", data=body, headers={"X-API-Key": KEY}) as response:
        assert response.status == 413


async def test_an_unknown_method_gets_104(site: Site) -> None:
    """All such names are counted as one."""
    for method in ("nothing", "Publish", "map_publish"):
        assert await site.call(method) == error(104, "method not found")
    assert site.server.requests["unknown", 200] == 3


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("publish", '{"channel":1,"data":1}'),
        ("publish", '{"channel":"chat:a","data":1,"tags":{"a":1}}'),
        ("publish", '{"channel":"chat:a","data":1,"skip_history":"yes"}'),
        ("broadcast", '{"channels":"chat:a","data":1}'),
        ("history", '{"channel":"chat:a","limit":"5"}'),
        ("history", '{"channel":"chat:a","since":{"offset":-1.5}}'),
        ("disconnect", '{"user":["a"]}'),
        ("publish", "[]"),
        ("publish", "null"),
        ("publish", "{}"),
        ("publish", '{"data":1}'),
        ("publish", '{"channel":"chat:a"}'),
        ("publish", '{"channel":"chat:a","b64data":"%%"}'),
        ("publish", '{"channel":"chat:a","data":1,"version":-1}'),
        ("publish", '{"channel":"chat:a","data":1,"idempotency_key":"' + 257 * "k" + '"}'),
        ("subscribe", '{"channel":"chat:a"}'),
        ("subscribe", '{"user":"ann"}'),
        ("subscribe", '{"user":"ann","channel":"chat:a","b64info":"%"}'),
        ("subscribe", '{"user":"ann","channel":"chat:a","b64info":"ew=="}'),
        ("disconnect", '{"user":"ann","client":"a","session":"b"}'),
        ("refresh", '{"expire_at":1}'),
        ("channels", '{"pattern":1}'),
        ("broadcast", '{"data":1}'),
        ("presence", "{}"),
        ("presence_stats", "{}"),
        ("history", "{}"),
        ("history_remove", "{}"),
        ("disconnect", "{}"),
        ("disconnect", '{"user":"ann","disconnect":{"code":1000}}'),
        ("unsubscribe", '{"user":"ann"}'),
        ("unsubscribe", '{"channel":"chat:a"}'),
    ],
)
async def test_wrong_fields_get_107(site: Site, method: str, body: str) -> None:
    """JSON that is not what the method takes."""
    status, answer = await site.post(method, body, **{"X-API-Key": KEY})
    assert status == 200
    assert json.loads(answer)["error"]["code"] == 107


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("publish", {"channel": "chat:a", "data": 1, "delta": True}, ""),
        ("subscribe", {"user": "ann", "channel": "chat:a", "override": {"presence": {"value": True}}}, ": override"),
    ],
)
async def test_a_field_that_cannot_be_followed_is_refused(
    site: Site, method: str, params: dict[str, object], field: str
) -> None:
    """To ignore it would do something else than was asked for."""
    assert await site.call(method, **params) == error(108, f"not available{field}")
    assert await site.history("chat:a") == []


# publishing


async def test_publish_returns_the_position(site: Site) -> None:
    """Nothing in a channel without history."""
    first = await site.call("publish", channel="chat:a", data={"n": 1})
    second = await site.call("publish", channel="chat:a", data=None)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["result"]["offset"] == 1
    assert second["result"] == {"offset": 2, "epoch": first["result"]["epoch"]}
    assert await site.call("publish", channel="plain:a", data=1) == {"result": {}}
    assert await site.call("publish", channel="chat:a", data=1, skip_history=True) == {"result": {}}
    assert await site.history("chat:a") == [b'{"n": 1}', b"null"]


async def test_base64_data_is_decoded(site: Site) -> None:
    """It has to be JSON, which is all that clients take."""
    await site.call("publish", channel="chat:a", b64data=base64.b64encode(b'{"n":1}').decode())
    assert await site.history("chat:a") == [b'{"n": 1}']


async def test_a_publication_is_one_line(site: Site) -> None:
    """Pretty-printed data would break the messages of all subscribers; what is in strings stays."""
    body = '{"channel":"chat:a","data":{\r\n  "text": "a\\nb"\n}}'
    status, _ = await site.post("publish", body, **{"X-API-Key": KEY})
    assert status == 200
    _, kept = await site.post("history", '{"channel":"chat:a","limit":1}', **{"X-API-Key": KEY})
    assert json.loads(kept)["result"]["publications"][0]["data"] == {"text": "a\nb"}
    assert b"\n" not in kept
    assert b"\r" not in kept


async def test_tags_go_with_the_publication(site: Site) -> None:
    """As clients get them."""
    await site.call("publish", channel="chat:a", data=1, tags={"kind": "x"})
    answer = await site.call("history", channel="chat:a", limit=1)
    assert isinstance(answer, dict)
    assert answer["result"]["publications"] == [{"data": 1, "tags": {"kind": "x"}, "offset": 1}]


async def test_data_that_no_outbox_takes_gets_106(site: Site) -> None:
    """It would disconnect every subscriber."""
    assert await site.call("publish", channel="chat:a", data="x" * DATA_BYTES) == error(106, "limit exceeded")


async def test_unknown_channels_get_102(site: Site) -> None:
    """As for clients."""
    assert await site.call("publish", channel="nowhere:a", data=1) == error(102, "unknown channel")


async def test_broadcast_answers_for_each_channel(site: Site) -> None:
    """One that fails does not keep the others from it."""
    answer = await site.call("broadcast", channels=["chat:a", "nowhere:a", "", "plain:a"], data=7)
    assert isinstance(answer, dict)
    first, second, third, fourth = answer["result"]["responses"]
    assert first["result"]["offset"] == 1
    assert second == error(102, "unknown channel")
    assert third == error(107, "bad request")
    assert fourth == {"result": {}}
    assert await site.history("chat:a") == [b"7"]


# reading


async def test_history_pages(site: Site) -> None:
    """The position always, the publications as many as asked for."""
    for number in range(1, 4):
        await site.call("publish", channel="chat:a", data=number)
    position = await site.call("history", channel="chat:a")
    assert isinstance(position, dict)
    epoch = position["result"]["epoch"]
    assert position["result"] == {"publications": [], "epoch": epoch, "offset": 3}
    page = await site.call("history", channel="chat:a", limit=1, since={"offset": 1, "epoch": epoch})
    assert isinstance(page, dict)
    assert page["result"]["publications"] == [{"data": 2, "offset": 2}]
    newest = await site.call("history", channel="chat:a", limit=2, reverse=True)
    assert isinstance(newest, dict)
    assert [publication["data"] for publication in newest["result"]["publications"]] == [3, 2]


async def test_history_of_another_epoch_gets_112(site: Site) -> None:
    """The caller's position means nothing any more."""
    answer = await site.call("history", channel="chat:a", limit=1, since={"offset": 1, "epoch": "other"})
    assert answer == error(112, "unrecoverable position")


async def test_removed_history_is_gone(site: Site) -> None:
    """The position is not."""
    await site.call("publish", channel="chat:a", data=1)
    assert await site.call("history_remove", channel="chat:a") == {"result": {}}
    assert await site.history("chat:a") == []


async def test_presence_shows_who_is_there(site: Site) -> None:
    """With their infos as they are."""
    presence = site.node.hub._presence
    await presence.add("chat:a", "c1", ClientInfo("ann", "c1", b'{"name":"Ann"}'), 60)
    await presence.add("chat:a", "c2", ClientInfo("ann", "c2"), 60)
    assert await site.call("presence", channel="chat:a") == {
        "result": {
            "presence": {
                "c1": {"user": "ann", "client": "c1", "conn_info": {"name": "Ann"}},
                "c2": {"user": "ann", "client": "c2"},
            }
        }
    }
    assert await site.call("presence_stats", channel="chat:a") == {"result": {"num_clients": 2, "num_users": 1}}


@pytest.mark.parametrize("method", ["presence", "presence_stats", "history", "history_remove"])
async def test_what_the_namespace_does_not_have_gets_108(site: Site, method: str) -> None:
    """No history and no presence."""
    assert await site.call(method, channel="plain:a") == error(108, "not available")


async def test_info_tells_of_this_worker(site: Site) -> None:
    """First of all that are known."""
    answer = await site.call("info")
    assert isinstance(answer, dict)
    (node,) = answer["result"]["nodes"]
    assert node["uid"] == site.node.uid
    assert (node["num_clients"], node["num_users"], node["num_channels"]) == (0, 0, 0)


async def test_disconnect_and_unsubscribe_are_taken(site: Site) -> None:
    """Also for users who are not here."""
    assert await site.call("disconnect", user="ann", disconnect={"code": 4000, "reason": "bye"}) == {"result": {}}
    assert await site.call("unsubscribe", user="ann", channel="chat:a") == {"result": {}}


# failing


async def test_a_lost_backplane_is_a_temporary_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is told no more than that."""

    async def fail(*_: object, **__: object) -> None:
        raise BackplaneError("redis://user:secret@host is away")

    monkeypatch.setattr(site.node.broker, "publish", fail)
    assert await site.call("publish", channel="chat:a", data=1) == error(100, "internal server error")


async def test_calls_are_counted_by_method_and_status(site: Site) -> None:
    """Names that callers invent are one."""
    await site.call("info")
    await site.post("info", "{}")
    await site.post("publish", "{", **{"X-API-Key": KEY})
    assert dict(site.server.requests) == {("info", 200): 1, ("info", 401): 1, ("publish", 400): 1}


async def test_health_needs_no_key(site: Site) -> None:
    """For load balancers in front of the API."""
    async with site.session.get(f"{site.address}/health") as response:
        assert (response.status, await response.json()) == (200, {})


# several at once


@pytest.mark.parametrize("parallel", [False, True])
async def test_a_batch_has_a_reply_for_each_command(site: Site, *, parallel: bool) -> None:
    """In their order, under the method's name; one that fails does not stop the others."""
    commands = [
        {"publish": {"channel": "chat:a", "data": 1}},
        {"publish": {"channel": "nothing:a", "data": 1}},
        {"history": {"channel": "plain:a"}},
        {"publish": {"channel": "chat:b", "data": 2}},
        {"broadcast": {"channels": ["chat:c", "nothing:c"], "data": 3}},
    ]
    answer = await site.call("batch", commands=commands, parallel=parallel)
    assert isinstance(answer, dict)
    published, unknown, without_history, other, broadcast = answer["replies"]
    assert published["publish"]["offset"] == other["publish"]["offset"] == 1
    assert unknown == error(102, "unknown channel")
    assert without_history == error(108, "not available")
    assert [list(response) for response in broadcast["broadcast"]["responses"]] == [["result"], ["error"]]
    assert site.server.requests["publish", 200] == 3
    assert site.server.requests["batch", 200] == 1


async def test_commands_of_a_batch_follow_one_another(site: Site) -> None:
    """What one publishes the next one finds."""
    commands = [{"publish": {"channel": "chat:a", "data": number}} for number in range(3)]
    commands.append({"history": {"channel": "chat:a", "limit": -1}})
    answer = await site.call("batch", commands=commands)
    assert isinstance(answer, dict)
    kept = answer["replies"][3]["history"]["publications"]
    assert [publication["data"] for publication in kept] == [0, 1, 2]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ({}, error(107, "bad request")),
        ({"info": {}, "publish": {}}, error(107, "bad request")),
        ({"nothing": {}}, error(104, "method not found")),
        ({"batch": {"commands": [{"info": {}}]}}, error(104, "method not found")),
        ({"publish": {"channel": "chat:a"}}, error(107, "bad request")),
        ({"publish": {"channel": "chat:a", "data": 1, "delta": True}}, error(108, "not available")),
    ],
    ids=["nothing", "two methods", "unknown", "a batch", "no data", "not supported"],
)
async def test_a_command_that_cannot_be_carried_out_is_an_error_of_its_own(
    site: Site, command: object, expected: object
) -> None:
    """The one beside it is carried out."""
    answer = await site.call("batch", commands=[command, {"publish": {"channel": "chat:a", "data": 1}}])
    assert isinstance(answer, dict)
    assert answer["replies"][0] == expected
    assert answer["replies"][1]["publish"]["offset"] == 1


@pytest.mark.parametrize("commands", [[], [{"info": {}}] * (MAX_BATCH + 1)], ids=["none", "too many"])
async def test_a_batch_has_some_commands_and_not_too_many(site: Site, commands: object) -> None:
    """Else nothing of it is carried out."""
    assert await site.call("batch", commands=commands) == error(107, "bad request")


@pytest.mark.parametrize(
    "body", ['{"commands": 7}', '{"commands": [7]}', '{"commands": [{"info": {}}], "parallel": 7}']
)
async def test_a_batch_of_another_shape_is_a_bad_request(site: Site, body: str) -> None:
    """107, with what would be right."""
    status, answer = await site.post("batch", body, **{"X-API-Key": KEY})
    assert status == 200
    assert json.loads(answer)["error"]["code"] == 107


async def test_the_same_key_publishes_once(site: Site) -> None:
    """And gets the same answer."""
    first = await site.call("publish", channel="chat:a", data=1, idempotency_key="order-7")
    assert await site.call("publish", channel="chat:a", data=1, idempotency_key="order-7") == first
    assert await site.history("chat:a") == [b"1"]


async def test_an_older_version_is_left_out(site: Site) -> None:
    """A snapshot that was overtaken on its way; another epoch begins anew."""
    for version, epoch in ((5, "a"), (4, "a"), (5, "a"), (6, "a"), (1, "b")):
        await site.call("publish", channel="chat:a", data=version, version=version, version_epoch=epoch)
    assert await site.history("chat:a") == [b"5", b"6", b"1"]


async def test_any_bytes_can_be_published(site: Site) -> None:
    """In base64; whoever reads JSON gets base64 too."""
    await site.call("publish", channel="chat:a", b64data="/wA=")
    assert await site.history("chat:a") == [b'"/wA="']


# a key for some things


async def limited(site: Site, method: str, **params: object) -> object:
    """Call with the key that may not do everything."""
    _, body = await site.post(method, json.dumps(params), **{"X-API-Key": LIMITED_KEY})
    return json.loads(body)


async def test_a_key_may_be_for_some_methods_and_channels(site: Site) -> None:
    """Everything else is 103, with the reason; a call about no channel needs a key for all of them."""
    assert "result" in str(await limited(site, "publish", channel="chat:a", data=1))
    denied = "permission denied: the key shop is not for"
    assert await limited(site, "disconnect", user="ann") == error(103, f"{denied} disconnect")
    assert await limited(site, "publish", channel="plain:a", data=1) == error(103, f"{denied} these channels")
    site.clock.now += 1
    broadcast = await limited(site, "broadcast", channels=["chat:a", "plain:a"], data=1)
    assert broadcast == error(103, f"{denied} these channels")
    assert await limited(site, "info") == error(103, f"{denied} these channels")
    assert await site.history("chat:a") == [b"1"]


async def test_a_key_may_be_for_so_many_calls_a_second(site: Site) -> None:
    """Each command of a batch is one; the answer says when to come again, and the other key is not slower."""
    commands = [{"publish": {"channel": "chat:a", "data": number}} for number in range(2)]
    assert "replies" in str(await limited(site, "batch", commands=commands))
    assert "result" in str(await limited(site, "publish", channel="chat:a", data=2))
    url, body = f"{site.address}/api/publish", b'{"channel":"chat:a","data":3}'
    async with site.session.post(url, data=body, headers={"X-API-Key": LIMITED_KEY}) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "1")
        message = "too many requests: the key shop has used up its calls per second"
        assert (await response.json())["error"] == {"code": 429, "message": message}
    assert "result" in str(await site.call("publish", channel="chat:a", data=4))
    site.clock.now += 0.4
    assert "result" in str(await limited(site, "publish", channel="chat:a", data=5))
    assert await site.history("chat:a") == [b"0", b"1", b"2", b"4", b"5"]
