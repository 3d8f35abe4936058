"""Server API over HTTP, on a real node with the memory backplane."""

from __future__ import annotations

import io
import json
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from realtime_server.admin.api_keys import ApiKeys
from realtime_server.admin.api_messages import MAX_BATCH
from realtime_server.admin.api_server import BODY_BYTES, ApiServer
from realtime_server.app import make_node
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.server_api import ServerApi
from realtime_server.settings import Api, Settings
from tests.unit.realtime_server.admin.api_site import KEY, LIMITED_KEY, VERSION, Site, error

# who may call


@pytest.mark.parametrize(
    "headers", [{"X-API-Key": KEY}, {"Authorization": f"apikey {KEY}"}, {"Authorization": f"ApiKey  {KEY} "}]
)
async def test_the_key_opens(site: Site, headers: dict[str, str]) -> None:
    """The key is accepted in either header."""
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
    """A call without the key is refused, whatever its method and body."""
    status, body = await site.post("publish", '{"channel":"chat:a","data":1}', **headers)
    assert status == 401
    assert json.loads(body)["error"]["code"] == 401
    assert (await site.post("nothing", "{", **headers))[0] == 401
    assert await site.history("chat:a") == []


async def test_without_a_key_file_every_call_is_refused() -> None:
    """Without a configured key every call is refused, one with an empty key included."""
    node = make_node(Settings())
    server = ApiServer(ServerApi(node), ApiKeys.of(Api()))
    runner = web.AppRunner(server.application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"X-API-Key": ""}, {"X-API-Key": "x"}):
            async with session.post(f"http://{host}:{port}/api/info", headers=headers) as response:
                assert response.status == 401
    await runner.cleanup()
    assert server.usage.requests["info", 401] == 3


# what is no call


@pytest.mark.parametrize("body", ["{", "nonsense", b'{"channel":"\xff"}', b"\xff\xfe", '{"a":1} x'])
@pytest.mark.parametrize("method", ["publish", "info", "nothing"])
async def test_what_is_not_json_gets_400(site: Site, method: str, body: str | bytes) -> None:
    """The answer says what is wrong with the body."""
    status, answer = await site.post(method, body, **{"X-API-Key": KEY})
    assert status == 400
    assert json.loads(answer)["error"]["code"] == 400


async def test_data_that_is_nested_too_deeply_gets_400(site: Site) -> None:
    """Data that clients could not parse is refused, also in a call with another fault."""
    deep = "[" * 600 + "]" * 600
    for body in ('{"channel":"chat:a","data":' + deep + "}", deep, '{"channel":7,"data":' + deep + "}"):
        assert (await site.post("publish", body, **{"X-API-Key": KEY}))[0] == 400


async def test_a_body_that_is_too_large_gets_413(site: Site) -> None:
    """The server does not read such a body to its end."""
    body = io.BytesIO(b" " * (BODY_BYTES + 1))
    async with site.session.post(f"{site.address}/api/publish", data=body, headers={"X-API-Key": KEY}) as response:
        assert response.status == 413


async def test_an_unknown_method_gets_104(site: Site) -> None:
    """Unknown methods are counted under one name."""
    for method in ("nothing", "Publish", "map_publish"):
        assert await site.call(method) == error(104, "method not found")
    assert site.server.usage.requests["unknown", 200] == 3


# failing


async def test_a_lost_backplane_is_a_temporary_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller gets error 100 without details."""

    async def fail(*_: object, **__: object) -> None:
        raise BackplaneError("redis://user:secret@host is away")

    monkeypatch.setattr(site.node.broker, "publish", fail)
    assert await site.call("publish", channel="chat:a", data=1) == error(100, "internal server error")


async def test_calls_are_counted_by_method_and_status(site: Site) -> None:
    """Calls are counted by method and status; unknown methods share one name."""
    await site.call("info")
    await site.post("info", "{}")
    await site.post("publish", "{", **{"X-API-Key": KEY})
    assert dict(site.server.usage.requests) == {("info", 200): 1, ("info", 401): 1, ("publish", 400): 1}


async def test_failures_are_counted_by_method_and_code(site: Site) -> None:
    """Failures, also those in a batch, and durations are counted by method."""
    await site.call("publish", channel="nowhere:a", data=1)
    await site.call("batch", commands=[{"history": {}}, {"nothing": {}}])
    assert dict(site.server.usage.errors) == {("publish", 102): 1, ("history", 107): 1, ("unknown", 104): 1}
    assert {method: sum(one.counts) for method, one in site.server.usage.seconds.items()} == {"publish": 1, "batch": 1}


async def test_what_is_not_there_is_said_in_json(site: Site) -> None:
    """Unknown paths are answered with a JSON error."""
    async with site.session.get(f"{site.address}/api/publish") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert (await response.json())["error"]["code"] == 405
    async with site.session.post(f"{site.address}/nothing") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, 404)


async def test_health_needs_no_key(site: Site) -> None:
    """A load balancer can read the health without a key."""
    async with site.session.get(f"{site.address}/health") as response:
        assert (response.status, await response.json()) == (200, {})


# several at once


@pytest.mark.parametrize("parallel", [False, True])
async def test_a_batch_has_a_reply_for_each_command(site: Site, *, parallel: bool) -> None:
    """Replies come in the order of the commands, under the method's name; a failed command does not stop the batch."""
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
    assert unknown == error(102, "unknown channel: the channel's namespace is not defined")
    assert without_history == error(108, "not available")
    assert [list(response) for response in broadcast["broadcast"]["responses"]] == [["result"], ["error"]]
    assert site.server.usage.requests["publish", 200] == 3
    assert site.server.usage.requests["batch", 200] == 1


async def test_commands_of_a_batch_follow_one_another(site: Site) -> None:
    """A later command of a batch sees the effects of an earlier one."""
    commands = [{"publish": {"channel": "chat:a", "data": number}} for number in range(3)]
    commands.append({"history": {"channel": "chat:a", "limit": -1}})
    answer = await site.call("batch", commands=commands)
    assert isinstance(answer, dict)
    kept = answer["replies"][3]["history"]["publications"]
    assert [publication["data"] for publication in kept] == [0, 1, 2]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ({}, (107, "bad request: a command is an object with one field, the method's name")),
        ({"info": {}, "publish": {}}, (107, "bad request: a command is an object with one field, the method's name")),
        ({"nothing": {}}, (104, "method not found")),
        ({"batch": {"commands": [{"info": {}}]}}, (104, "method not found")),
        ({"publish": {"channel": "chat:a"}}, (107, "bad request: data or b64data is needed")),
        ({"publish": {"channel": "plain:a", "data": 1, "version": 1}}, (108, f"not available: {VERSION}")),
    ],
    ids=["nothing", "two methods", "unknown", "a batch", "no data", "not supported"],
)
async def test_a_command_that_cannot_be_carried_out_is_an_error_of_its_own(
    site: Site, command: object, expected: tuple[int, str]
) -> None:
    """A failed command does not affect the other commands of the batch."""
    answer = await site.call("batch", commands=[command, {"publish": {"channel": "chat:a", "data": 1}}])
    assert isinstance(answer, dict)
    assert answer["replies"][0] == error(*expected)
    assert answer["replies"][1]["publish"]["offset"] == 1


@pytest.mark.parametrize(
    ("commands", "length"), [([], ">= 1"), ([{"info": {}}] * (MAX_BATCH + 1), "<= 1000")], ids=["none", "too many"]
)
async def test_a_batch_has_some_commands_and_not_too_many(site: Site, commands: object, length: str) -> None:
    """An empty or too large batch is refused as a whole."""
    expected = error(107, f"bad request: Expected `array` of length {length} - at `$.commands`")
    assert await site.call("batch", commands=commands) == expected


@pytest.mark.parametrize(
    "body", ['{"commands": 7}', '{"commands": [7]}', '{"commands": [{"info": {}}], "parallel": 7}']
)
async def test_a_batch_of_another_shape_is_a_bad_request(site: Site, body: str) -> None:
    """The batch gets error 107 with a description of the right shape."""
    status, answer = await site.post("batch", body, **{"X-API-Key": KEY})
    assert status == 200
    assert json.loads(answer)["error"]["code"] == 107


# a key for some things


async def limited(site: Site, method: str, **params: object) -> object:
    """Send a call with the restricted key; what it does not permit gets status 403."""
    status, body = await site.post(method, json.dumps(params), **{"X-API-Key": LIMITED_KEY})
    answer = json.loads(body)
    assert (status == 403) == ("error" in answer and answer["error"]["code"] == 103)
    return answer


async def test_a_key_may_be_for_some_methods_and_channels(site: Site) -> None:
    """Other methods and channels get error 103 with the reason.

    A call without channels needs a key for all channels.
    """
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
    """Each command of a batch counts as a call; the answer says when to retry, and other keys are not affected."""
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


def test_the_second_value_of_the_key_is_accepted_while_it_is_there(tmp_path: Path) -> None:
    """It is in a file beside the key's, read again when it changes; an empty or missing one opens nothing."""
    file, beside = tmp_path / "api-key", tmp_path / "api-key-alternate"
    file.write_text("first")
    keys = ApiKeys.of(Api(key_file=file))
    assert keys.find("first") is not None
    assert keys.find("second") is keys.find("") is None
    beside.write_text("second\n")
    found = keys.find("second")
    assert found is not None
    assert (found.name, found.may_call("revoke"), found.may_use(["any"])) == ("default", True, True)
    beside.write_text("")
    assert keys.find("second") is keys.find("") is None
    beside.unlink()
    assert keys.find("first") is not None
