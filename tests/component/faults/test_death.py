"""Death of a server, as subscribers with joins and leaves see it."""

from __future__ import annotations

import asyncio
import signal

import pytest

from realtime_operator.api.base import JsonValue
from realtime_server.core.channels.presence import PRESENCE_RENEW_SECONDS, PRESENCE_TTL_SECONDS
from tests.kit.clients import Channel, ClientOptions, Joined, Left, all_subscribed
from tests.kit.python_sdk import PythonClients
from tests.kit.redis_process import running_redis
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

NAMESPACES: list[JsonValue] = [{"name": "people", "join_leave": True, "presence": True}]
ROOM = Channel("people:room", join_leave=True)
MARGIN_SECONDS = 30.0
"""Margin for a busy machine."""


def clients_of(server: ServerProcess, *users: str) -> PythonClients:
    """Return one client per user, in the room."""
    tokens = [connection_token(TOKEN_SECRET, user) for user in users]
    return PythonClients(ClientOptions(endpoints=[server.url], count=len(users), channels=[ROOM], tokens=tokens))


@pytest.mark.timeout(240)
async def test_the_others_are_told_once_that_its_clients_have_left() -> None:
    """Leaves are published on every server after the presence expires, and for dead clients only."""
    with running_redis() as redis:
        async with (
            ServerProcess("death-a", redis, namespaces=NAMESPACES) as one,
            ServerProcess("death-b", redis, namespaces=NAMESPACES) as other,
            ServerProcess("death-c", redis, namespaces=NAMESPACES) as dies,
            clients_of(one, "ann") as here,
            clients_of(other, "bob") as there,
            clients_of(dies, "cy", "dan") as gone,
        ):
            for clients in (here, there, gone):
                await all_subscribed(clients)
            await here.record.wait(lambda r: sum(isinstance(e, Joined) for e in r.events) >= 3, what="all are there")
            assert dies.process is not None
            dies.process.send_signal(signal.SIGKILL)
            await dies.process.wait()
            within = PRESENCE_TTL_SECONDS + PRESENCE_RENEW_SECONDS + MARGIN_SECONDS
            for clients in (here, there):
                await clients.record.wait(lambda r: sum(isinstance(e, Left) for e in r.events) >= 2, what="left",
                                          within=within)  # fmt: skip
            async with one.api() as api:
                presence = await api.call("presence", channel=ROOM.name)
            await asyncio.sleep(1.2 * PRESENCE_RENEW_SECONDS)
            for clients in (here, there):
                left = [event.user for event in clients.record.events if isinstance(event, Left)]
                assert sorted(left) == ["cy", "dan"]
            assert isinstance(presence["presence"], dict)
            assert len(presence["presence"]) == 2
