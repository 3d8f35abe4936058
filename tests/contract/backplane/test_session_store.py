"""Contract of every store of sessions' states."""

from __future__ import annotations

import asyncio

from realtime_server.core.model.session_state import SessionState
from realtime_server.core.model.values import StreamPosition
from realtime_server.core.ports.session_store import MAX_STATE_BYTES, Kept, SessionStore
from tests.contract.backplane.conftest import MOST_STATES, Connect, Server

STATE = SessionState(
    "sid",
    "anna",
    {"rooms:1": StreamPosition(3, "epoch"), "rooms:ü": StreamPosition(0, "")},
)
OTHER = SessionState("other", "", {}, b"\n\x00\xff")


async def put(store: SessionStore, ident: str, owner: str = "one", state: SessionState = STATE) -> Kept:
    """Store a state of a new owner for a minute."""
    return await store.put(ident, owner, state, 60, first=True)


async def test_a_state_is_taken_once(server: Server) -> None:
    """Of many who ask at the same time one gets it, as it was."""
    assert await put(server.sessions, "a") is Kept.YES
    assert await put(server.sessions, "b", state=OTHER) is Kept.YES
    found = await asyncio.gather(*(server.sessions.take("a") for _ in range(5)))
    assert [state for state in found if state is not None] == [STATE]
    assert await server.sessions.take("b") == OTHER
    assert await server.sessions.take("unknown") is None


async def test_another_server_can_take_it(together: Connect) -> None:
    """Servers share the store."""
    async with together() as one, together() as other:
        for number in range(3):
            await put(one.sessions, f"id{number}")
        assert [await other.sessions.take(f"id{number}") for number in range(3)] == [STATE] * 3
        assert await one.sessions.renew({"id0": "one"}, 60) == {"id0": Kept.GONE}


async def test_only_its_owner_changes_it(server: Server) -> None:
    """A connection whose session goes on elsewhere learns that from its next change or renewal."""
    store = server.sessions
    await put(store, "a")
    assert await store.put("a", "one", OTHER, 60, first=False) is Kept.YES
    await put(store, "a", "two")
    assert await store.put("a", "one", OTHER, 60, first=False) is Kept.TAKEN
    await store.remove("a", "one")
    await put(store, "b")
    assert await store.renew({"a": "one", "b": "one", "c": "one"}, 60) == {"a": Kept.TAKEN, "c": Kept.GONE}
    assert await store.take("a") == STATE
    await store.remove("b", "one")
    assert await store.take("b") is None


async def test_a_state_that_is_gone_can_be_put_again(server: Server) -> None:
    """The store may have lost its data."""
    assert await server.sessions.put("a", "one", STATE, 60, first=False) is Kept.YES
    assert await server.sessions.take("a") == STATE


async def test_a_state_expires_unless_it_is_renewed(server: Server) -> None:
    """An expired one is gone for everybody."""
    store = server.sessions
    await store.put("a", "one", STATE, 0.05, first=True)
    await store.put("b", "one", STATE, 0.05, first=True)
    await store.put("b", "one", STATE, 60, first=False)
    await asyncio.sleep(0.1)
    assert await store.renew({"a": "one", "b": "one"}, 60) == {"a": Kept.GONE}
    assert await store.take("a") is None
    assert await store.take("b") == STATE


async def test_the_size_of_a_state_is_bounded(server: Server) -> None:
    """A state that has become too large is not kept in an older form."""
    large = SessionState("sid", "", {}, b"x" * MAX_STATE_BYTES)
    await put(server.sessions, "a")
    assert await server.sessions.put("a", "one", large, 60, first=False) is Kept.GONE
    assert await server.sessions.take("a") is None


async def test_the_number_of_states_is_bounded(server: Server) -> None:
    """The oldest go first; a renewed one is not old."""
    store = server.sessions
    # One place of all ids: those whose names differ may be in different partitions.
    for number in range(MOST_STATES):
        await store.put(f"id{number}", "one", STATE, 60 + number, first=True)
    idents = [f"id{number}" for number in range(400)]
    for ident in idents[MOST_STATES:]:
        await store.put(ident, "one", STATE, 120, first=True)
    lost = await store.renew(dict.fromkeys(idents, "one"), 60)
    assert 400 - len(lost) <= 64 * MOST_STATES
    assert lost
    assert {*lost.values()} == {Kept.GONE}
    kept = [ident for ident in idents if ident not in lost]
    assert idents[-1] in kept
