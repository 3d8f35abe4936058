"""Methods of the server API, on a real node with the memory backplane."""

from __future__ import annotations

import base64
import json

import pytest

from realtime_server.admin.api_handlers import PUBLISHED_AT_ONCE
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.values import ClientInfo
from tests.unit.realtime_server.admin.api_site import DATA_BYTES, KEY, VERSION, Site, error


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
        ("publish", '{"channel":"chat:a","data":1,"b64data":"MQ=="}'),
        ("publish", '{"channel":"chat:a","data":1,"version":9223372036854775808}'),
        ("publish", '{"channel":"chat:a","data":1,"version_epoch":"a"}'),
        ("publish", '{"channel":"chat:a","data":1,"idempotencykey":"a"}'),
        ("history", '{"channel":"chat:a","limit":-2}'),
        ("history", '{"channel":"chat:a","since":{"offset":9007199254740992}}'),
        ("refresh", '{"user":"ann","expired":true,"expire_at":1}'),
        ("refresh", '{"user":"ann","expire_at":-1}'),
        ("refresh", '{"user":"ann","expire_at":1' + 400 * "0" + "}"),
        ("info", '{"of":"all"}'),
        ("refresh", '{"expire_at":1}'),
        ("channels", '{"pattern":1}'),
        ("broadcast", '{"data":1}'),
        ("presence", "{}"),
        ("presence_stats", "{}"),
        ("history", "{}"),
        ("history_remove", "{}"),
        ("disconnect", "{}"),
        ("send", '{"data":1}'),
        ("send", '{"user":"ann"}'),
        ("send", '{"user":"ann","data":1,"b64data":"MQ=="}'),
        ("disconnect", '{"user":"ann","disconnect":{"code":1000}}'),
        ("unsubscribe", '{"user":"ann"}'),
        ("unsubscribe", '{"channel":"chat:a"}'),
        ("emit", '{"args":[1]}'),
        ("emit", '{"event":""}'),
        ("emit", '{"event":"x","args":{}}'),
        ("emit", '{"event":"x","rooms":"a"}'),
        ("emit", '{"event":"x","ack_timeout":0}'),
        ("emit", '{"event":"x","ack_timeout":5000}'),
        ("emit", '{"event":"x","excluded":["a"]}'),
        ("emit", '{"event":"x","namespace":""}'),
        ("join", '{"rooms":["a"]}'),
        ("join", '{"join":[]}'),
        ("leave", '{"join":["a"]}'),
        ("sockets", '{"limit":0}'),
        ("sockets", '{"limit":1001}'),
        ("disconnect", '{"rooms":["a"]}'),
        ("disconnect", '{"user":"ann","close":true}'),
        ("disconnect", '{"user":"ann","namespace":"/"}'),
    ],
)
async def test_wrong_fields_get_107(site: Site, method: str, body: str) -> None:
    """JSON that does not match the method's fields is answered with error 107."""
    status, answer = await site.post(method, body, **{"X-API-Key": KEY})
    assert status == 200
    assert json.loads(answer)["error"]["code"] == 107


@pytest.mark.parametrize(
    ("method", "params", "why"),
    [
        ("publish", {"channel": "plain:a", "version": 1}, VERSION),
        ("publish", {"channel": "chat:a", "version": 1, "skip_history": True}, VERSION),
        ("subscribe", {"user": "ann", "channel": "plain:a", "override": {"force_recovery": {"value": True}}},
         "override: without history there is no recovery and no position"),
        ("subscribe", {"user": "ann", "channel": "plain:a", "recover_since": {"offset": 1, "epoch": "x"}},
         "recover_since: the subscription has no recovery"),
    ],
)  # fmt: skip
async def test_a_field_that_cannot_be_followed_is_refused(
    site: Site, method: str, params: dict[str, object], why: str
) -> None:
    """A field that would have no effect is refused, because ignoring it would not do what was asked."""
    given = {"data": 1} if method == "publish" else {}
    assert await site.call(method, **params, **given) == error(108, f"not available: {why}")
    assert await site.history("chat:a") == []


# publishing


async def test_publish_returns_the_position(site: Site) -> None:
    """The position is returned; in a channel without history there is none."""
    first = await site.call("publish", channel="chat:a", data={"n": 1})
    second = await site.call("publish", channel="chat:a", data=None)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["result"]["offset"] == 1
    assert second["result"] == {"offset": 2, "epoch": first["result"]["epoch"]}
    assert await site.call("publish", channel="plain:a", data=1) == {"result": {}}
    assert await site.call("publish", channel="chat:a", data=1, skip_history=True) == {"result": {}}
    assert await site.history("chat:a") == [b'{"n": 1}', b"null"]


async def test_delta_is_taken_and_changes_nothing(site: Site) -> None:
    """`delta` is accepted without effect, as by Centrifugo where no subscriber uses deltas: its clients send it."""
    for delta in (True, False):
        answer = await site.call("publish", channel="chat:a", data=1, delta=delta)
        assert isinstance(answer, dict)
        assert "offset" in answer["result"]
    answer = await site.call("broadcast", channels=["chat:a", "plain:a"], data=1, delta=True)
    assert isinstance(answer, dict)
    assert [list(one) for one in answer["result"]["responses"]] == [["result"], ["result"]]


async def test_base64_data_is_decoded(site: Site) -> None:
    """The data of `b64data` has to be JSON, because clients accept nothing else."""
    await site.call("publish", channel="chat:a", b64data=base64.b64encode(b'{"n":1}').decode())
    assert await site.history("chat:a") == [b'{"n": 1}']


async def test_a_publication_is_one_line(site: Site) -> None:
    """Line breaks between tokens are removed, as they would break subscribers' messages; strings are unchanged."""
    body = '{"channel":"chat:a","data":{\r\n  "text": "a\\nb"\n}}'
    status, _ = await site.post("publish", body, **{"X-API-Key": KEY})
    assert status == 200
    _, kept = await site.post("history", '{"channel":"chat:a","limit":1}', **{"X-API-Key": KEY})
    assert json.loads(kept)["result"]["publications"][0]["data"] == {"text": "a\nb"}
    assert b"\n" not in kept
    assert b"\r" not in kept


async def test_tags_go_with_the_publication(site: Site) -> None:
    """Clients receive the tags of a publication."""
    await site.call("publish", channel="chat:a", data=1, tags={"kind": "x"})
    answer = await site.call("history", channel="chat:a", limit=1)
    assert isinstance(answer, dict)
    assert answer["result"]["publications"] == [{"data": 1, "tags": {"kind": "x"}, "offset": 1}]


async def test_data_that_no_outbox_takes_gets_106(site: Site) -> None:
    """Data and tags beyond the size of an outbox are refused: they would disconnect every subscriber."""
    for tags, size in (({}, DATA_BYTES + 2), ({"ü": "y"}, DATA_BYTES + 5)):
        answer = await site.call("publish", channel="chat:a", data="x" * DATA_BYTES, tags=tags)
        why = f"data and tags have {size} bytes, more than {DATA_BYTES}"
        assert answer == error(106, f"limit exceeded: {why}")


async def test_an_info_that_is_too_large_gets_106(site: Site) -> None:
    """A large info is refused, because each publication of the client would carry it."""
    answer = await site.call("subscribe", user="ann", channel="chat:a", info="x" * 8191)
    assert answer == error(106, "limit exceeded: info has 8193 bytes, more than 8192")


async def test_unknown_channels_get_102(site: Site) -> None:
    """A call about a channel of an unknown namespace gets error 102, as a client does."""
    assert await site.call("publish", channel="nowhere:a", data=1) == error(
        102, "unknown channel: the channel's namespace is not defined"
    )


async def test_broadcast_answers_for_each_channel(site: Site) -> None:
    """A broadcast answers for each channel; a failure in one does not affect the others."""
    answer = await site.call("broadcast", channels=["chat:a", "nowhere:a", "", "plain:a"], data=7)
    assert isinstance(answer, dict)
    first, second, third, fourth = answer["result"]["responses"]
    assert first["result"]["offset"] == 1
    assert second == error(102, "unknown channel: the channel's namespace is not defined")
    assert third == error(102, "unknown channel: the channel's name is empty")
    assert fourth == {"result": {}}
    assert await site.history("chat:a") == [b"7"]


async def test_a_backplane_that_goes_away_in_a_broadcast_is_told_for_each_channel(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a backplane failure the earlier channels keep their result, and the later ones fail without waiting."""
    asked = []

    async def fail_later(channel: str, *_: object, **__: object) -> None:
        asked.append(channel)
        if len(asked) == PUBLISHED_AT_ONCE:
            raise BackplaneError("away")

    monkeypatch.setattr(site.node.broker, "publish", fail_later)
    channels = [f"plain:{number}" for number in range(3 * PUBLISHED_AT_ONCE)]
    answer = await site.call("broadcast", channels=channels, data=7)
    assert isinstance(answer, dict)
    responses = answer["result"]["responses"]
    away = error(100, "internal server error")
    assert responses == [{"result": {}}] * (PUBLISHED_AT_ONCE - 1) + [away] * (2 * PUBLISHED_AT_ONCE + 1)
    assert len(asked) == PUBLISHED_AT_ONCE


# reading


async def test_history_pages(site: Site) -> None:
    """A page has the position and at most the requested number of publications."""
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
    """A position of another epoch is refused with error 112."""
    answer = await site.call("history", channel="chat:a", limit=1, since={"offset": 1, "epoch": "other"})
    assert answer == error(112, "unrecoverable position")


async def test_removed_history_is_gone(site: Site) -> None:
    """Removing a history leaves the position."""
    await site.call("publish", channel="chat:a", data=1)
    assert await site.call("history_remove", channel="chat:a") == {"result": {}}
    assert await site.history("chat:a") == []


async def test_presence_shows_who_is_there(site: Site) -> None:
    """Presence contains the infos unchanged."""
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
    """History and presence of a namespace without them are refused with error 108."""
    assert await site.call(method, channel="plain:a") == error(108, "not available")


async def test_info_tells_of_this_worker(site: Site) -> None:
    """`info` lists this worker first."""
    answer = await site.call("info")
    assert isinstance(answer, dict)
    (node,) = answer["result"]["nodes"]
    assert node["uid"] == site.node.uid
    assert (node["num_clients"], node["num_users"], node["num_channels"]) == (0, 0, 0)


async def test_disconnect_and_unsubscribe_are_taken(site: Site) -> None:
    """Calls about users without connections succeed."""
    assert await site.call("disconnect", user="ann", disconnect={"code": 4000, "reason": "bye"}) == {"result": {}}
    assert await site.call("unsubscribe", user="ann", channel="chat:a") == {"result": {}}


# once, and the newest


async def test_the_same_key_publishes_once(site: Site) -> None:
    """A repeated idempotency key publishes nothing and gets the first answer."""
    first = await site.call("publish", channel="chat:a", data=1, idempotency_key="order-7")
    assert await site.call("publish", channel="chat:a", data=1, idempotency_key="order-7") == first
    assert await site.history("chat:a") == [b"1"]


async def test_an_older_version_is_left_out(site: Site) -> None:
    """A publication with an older version is skipped; another version epoch starts again."""
    for version, epoch in ((5, "a"), (4, "a"), (5, "a"), (6, "a"), (1, "b")):
        await site.call("publish", channel="chat:a", data=version, version=version, version_epoch=epoch)
    assert await site.history("chat:a") == [b"5", b"6", b"1"]


async def test_any_bytes_can_be_published(site: Site) -> None:
    """Arbitrary bytes are accepted in base64; JSON clients receive them in base64."""
    await site.call("publish", channel="chat:a", b64data="/wA=")
    assert await site.history("chat:a") == [b'"/wA="']
