"""Collections of acknowledgements."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from realtime_server.protocols.socket_io.packets import Packet, PacketType
from realtime_server.socket_io.ack_collection import Ack, AckCollection, AckRoom, CollectedAcks


def acked(data: bytes, *attachments: bytes) -> Packet:
    """Return an acknowledgement."""
    return Packet(PacketType.ACK, id=1, data=data, attachments=attachments)


async def test_it_is_complete_when_no_more_can_come() -> None:
    """The acknowledgements are in the order in which they came."""
    collection = AckCollection(["a", "b", "c"], AckRoom(100), max_bytes=100)
    waiting = asyncio.create_task(collection.wait(60))
    collection.take("c", acked(b'["x"]'))
    collection.give_up("a")
    await asyncio.sleep(0)
    assert not waiting.done()
    place = b'[{"_placeholder":true,"num":0}]'
    collection.take("b", acked(place, b"\x00"))
    assert await waiting == CollectedAcks([Ack("c", b'["x"]'), Ack("b", b'[{"b64data":"AA=="}]')], ["a"])


async def test_nobody_is_waited_for_when_nobody_is_asked() -> None:
    assert await AckCollection([], AckRoom(0), max_bytes=0).wait(60) == CollectedAcks([], [])


async def test_what_has_not_come_in_time_is_left_out() -> None:
    collection = AckCollection(["a", "b"], AckRoom(100), max_bytes=100)
    collection.take("a", acked(b"[]"))
    assert await collection.wait(0) == CollectedAcks([Ack("a", b"[]")], ["b"])


async def test_data_is_bounded_by_itself_and_together_with_others() -> None:
    """Who has answered is known all the same; the room is free again for later ones."""
    room = AckRoom(8)
    one, other = (AckCollection(["a", "b"], room, max_bytes=6) for _ in range(2))
    one.take("a", acked(b"[1234]"))
    one.take("b", acked(b"[1]"))
    other.take("a", acked(b"[1]"))
    other.take("b", None)
    assert await one.wait(0) == CollectedAcks([Ack("a", b"[1234]"), Ack("b", None)], [])
    assert await other.wait(0) == CollectedAcks([Ack("a", None), Ack("b", None)], [])
    assert room.take(8)


@given(st.permutations("abcd"), st.integers(0, 15), st.integers(0, 4))
def test_every_socket_is_told_once(order: list[str], leaving: int, count: int) -> None:
    """It is complete exactly when the last one has answered or left, in whatever order."""

    async def tell() -> None:
        collection = AckCollection("abcd", AckRoom(100), max_bytes=100)
        waiting = asyncio.create_task(collection.wait(60 if count == 4 else 0.001))
        await asyncio.sleep(0)
        for place, client in enumerate(order[:count]):
            assert not waiting.done()
            if leaving >> place & 1:
                collection.give_up(client)
            else:
                collection.take(client, acked(b"[]"))
        found = await waiting
        answered = [client for place, client in enumerate(order[:count]) if not leaving >> place & 1]
        assert [ack.client for ack in found.acks] == answered
        assert sorted([*answered, *found.unanswered]) == [*"abcd"]

    asyncio.run(tell())
