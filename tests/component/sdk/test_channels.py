"""Subscribe, publish, presence, history and rpc, as applications use them."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from tests.component.sdk.conftest import Sdk
from tests.kit.clients import CallRefusedError, Channel, Unsubscribed, all_connected, all_subscribed
from tests.kit.document import object_at, objects_at
from tests.kit.server_process import ServerProcess


async def test_a_publication_of_a_subscriber_reaches_all_with_its_offset(
    sdk: Sdk, shared_server: ServerProcess, room: Channel
) -> None:
    """The publisher gets its publication too; offsets increase by one."""
    async with sdk(shared_server.url, count=2, channels=[room]) as clients:
        await all_subscribed(clients)
        for number in range(3):
            await clients.call(0, "publish", channel=room.name, data={"number": number})
        await clients.record.wait(lambda r: len(r.publications()) == 6, what="3 publications for each of 2")
        for client in (0, 1):
            got = clients.record.publications(client=client)
            assert [p.data for p in got] == [{"number": number} for number in range(3)]
            offsets = [p.offset or 0 for p in got]
            assert offsets == list(range(offsets[0], offsets[0] + 3))


@pytest.mark.parametrize("data", ["text", 12.5, [1, {"a": None}], {"emoji": "\u2603 \U0001f600"}, True])
async def test_any_json_goes_through_unchanged(
    sdk: Sdk, shared_server: ServerProcess, room: Channel, data: JsonValue
) -> None:
    async with sdk(shared_server.url, channels=[room]) as clients, shared_server.api() as api:
        await all_subscribed(clients)
        await api.call("publish", channel=room.name, data=data)
        await clients.record.wait(lambda r: len(r.publications()) == 1, what="a publication")
        assert clients.record.publications()[0].data == data


async def test_publishing_needs_the_right_of_the_namespace(sdk: Sdk, shared_server: ServerProcess) -> None:
    """`publish` is tested with subscribers, nobody and anyone."""
    async with sdk(shared_server.url) as clients:
        await all_connected(clients)
        for channel in ("chat:room", "feed:room", "plain"):
            with pytest.raises(CallRefusedError) as refused:
                await clients.call(0, "publish", channel=channel, data={})
            assert refused.value.code == 103, channel
        await clients.call(0, "publish", channel="open:room", data={})


async def test_an_unknown_namespace_is_told(sdk: Sdk, shared_server: ServerProcess) -> None:
    """The subscription ends with error 102."""
    async with sdk(shared_server.url, channels=[Channel("nowhere:1")]) as clients:
        await clients.record.wait(lambda r: r.first(Unsubscribed) is not None, what="refused")
        event = clients.record.first(Unsubscribed)
        assert isinstance(event, Unsubscribed)
        assert event.code == 102
        assert clients.record.connected == {0}


async def test_after_unsubscribe_nothing_arrives_and_subscribing_again_works(
    sdk: Sdk, shared_server: ServerProcess
) -> None:
    """The publication in between is missing; those before and after arrive."""
    async with sdk(shared_server.url, channels=[Channel("open:1")]) as clients, shared_server.api() as api:
        await all_subscribed(clients)
        await api.publish("open:1", "before")
        await clients.record.wait(lambda r: len(r.publications()) == 1, what="the first")
        await clients.call(0, "unsubscribe", channel="open:1")
        await clients.call(0, "publish", channel="open:2", data={})  # the unsubscribe before it has been processed
        await api.publish("open:1", "between")
        await clients.call(0, "subscribe", channel="open:1")
        await all_subscribed(clients)
        await api.publish("open:1", "after")
        await clients.record.wait(lambda r: len(r.publications()) == 2, what="the last")
        assert [p.data for p in clients.record.publications()] == ["before", "after"]


async def test_presence_names_who_is_in_a_channel(sdk: Sdk, shared_server: ServerProcess, room: Channel) -> None:
    """Presence lists connections with their users; presence_stats counts both."""
    async with sdk(shared_server.url, count=2, channels=[room]) as clients:
        await all_subscribed(clients)
        presence = await clients.call(0, "presence", channel=room.name)
        users = sorted(str(object_at(info)["user"]) for info in object_at(presence, "clients").values())
        assert users == ["user-0", "user-1"]
        stats = await clients.call(0, "presence_stats", channel=room.name)
        assert stats == {"numClients": 2, "numUsers": 2}
        await clients.call(1, "unsubscribe", channel=room.name)
        await clients.call(1, "publish", channel="open:2", data={})  # the unsubscribe has been processed
        stats = await clients.call(0, "presence_stats", channel=room.name)
        assert stats == {"numClients": 1, "numUsers": 1}


async def test_presence_is_not_available_where_it_is_off(sdk: Sdk, shared_server: ServerProcess) -> None:
    """The error is 108, not available."""
    async with sdk(shared_server.url, channels=[Channel("open:1")]) as clients:
        await all_subscribed(clients)
        with pytest.raises(CallRefusedError) as refused:
            await clients.call(0, "presence", channel="open:1")
        assert refused.value.code == 108


async def test_history_gives_what_was_published(sdk: Sdk, shared_server: ServerProcess) -> None:
    """History is read from the newest backwards, from a position, and with limit 0 for the position alone."""
    channel = f"feed:history-{sdk.name}"
    async with sdk(shared_server.url, channels=[Channel(channel)]) as clients, shared_server.api() as api:
        await all_subscribed(clients)
        for number in range(1, 6):
            offset, epoch = await api.publish(channel, number)
            assert offset == number
        top = await clients.call(0, "history", channel=channel, limit=0)
        assert (objects_at(top, "publications"), top["offset"], top["epoch"]) == ([], 5, epoch)
        newest = await clients.call(0, "history", channel=channel, limit=2, reverse=True)
        assert [p["data"] for p in objects_at(newest, "publications")] == [5, 4]
        since: JsonObject = {"offset": 2, "epoch": epoch}
        after = await clients.call(0, "history", channel=channel, limit=10, since=since)
        assert [p["data"] for p in objects_at(after, "publications")] == [3, 4, 5]


async def test_history_is_not_available_where_it_is_off(sdk: Sdk, shared_server: ServerProcess) -> None:
    """The error is 108, not available."""
    async with sdk(shared_server.url, channels=[Channel("open:1")]) as clients:
        await all_subscribed(clients)
        with pytest.raises(CallRefusedError) as refused:
            await clients.call(0, "history", channel="open:1", limit=1)
        assert refused.value.code == 108


async def test_rpc_is_refused_where_nothing_is_configured(sdk: Sdk, shared_server: ServerProcess) -> None:
    """The error is 104 or 108, and the connection stays."""
    async with sdk(shared_server.url) as clients:
        await all_connected(clients)
        with pytest.raises(CallRefusedError) as refused:
            await clients.call(0, "rpc", method="sum", data={"a": 1})
        assert refused.value.code in {104, 108}
        assert clients.record.connected == {0}


async def test_messages_cross_servers(
    sdk: Sdk, shared_server: ServerProcess, other_shared_server: ServerProcess, room: Channel
) -> None:
    """Clients of two servers get each other's publications with the same offsets."""
    async with sdk(shared_server.url, other_shared_server.url, count=2, channels=[room]) as clients:
        await all_subscribed(clients)
        await clients.call(0, "publish", channel=room.name, data="from a")
        await clients.call(1, "publish", channel=room.name, data="from b")
        await clients.record.wait(lambda r: len(r.publications()) == 4, what="2 publications for each of 2")
        first, second = (clients.record.publications(client=client) for client in (0, 1))
        assert {p.data for p in first} == {"from a", "from b"}
        assert [(p.offset, p.data) for p in first] == [(p.offset, p.data) for p in second]


async def test_presence_crosses_servers(
    sdk: Sdk, shared_server: ServerProcess, other_shared_server: ServerProcess, room: Channel
) -> None:
    async with sdk(shared_server.url, other_shared_server.url, count=2, channels=[room]) as clients:
        await all_subscribed(clients)
        for client in (0, 1):
            stats = await clients.call(client, "presence_stats", channel=room.name)
            assert stats == {"numClients": 2, "numUsers": 2}


async def test_disconnect_by_the_api_crosses_servers(
    sdk: Sdk, shared_server: ServerProcess, other_shared_server: ServerProcess
) -> None:
    async with sdk(other_shared_server.url) as clients, shared_server.api() as api:
        await all_connected(clients)
        await api.call("disconnect", user="user-0")
        await clients.record.wait(lambda r: not r.connected, what="disconnected")


async def test_text_that_was_cut_inside_a_character_is_refused_and_ends_nothing(
    sdk: Sdk, shared_server: ServerProcess, room: Channel
) -> None:
    """In JSON the publication gets error 107; in Protobuf data may be any bytes. Later publications arrive."""
    async with sdk(shared_server.url, channels=[room]) as clients:
        await all_subscribed(clients)
        code = 0
        try:
            await clients.call(0, "publish", channel=room.name, data={"text": "cut \ud83d"})
        except CallRefusedError as refused:
            code = refused.code
        assert code == (0 if sdk.protobuf else 107)
        await clients.call(0, "publish", channel=room.name, data={"text": "whole"})
        await clients.record.wait(
            lambda r: {"text": "whole"} in [one.data for one in r.publications()], what="the publication"
        )
        assert clients.record.lost_connections() == []
