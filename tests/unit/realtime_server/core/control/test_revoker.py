"""Revocation of tokens, as their connections see it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_server import codes
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.backplane.memory_revocations import MemoryRevocations
from realtime_server.core.control.revoker import CHECKED_AT_ONCE, CLOCK_DIFFERENCE_SECONDS
from realtime_server.core.model.errors import BackplaneError, CommandError
from realtime_server.core.model.revocation import Revocation
from realtime_server.core.node import Node
from realtime_server.core.ports.api import Revoking
from realtime_server.core.ports.backplane import RevocationPage
from realtime_server.core.server_api import ServerApi
from tests.kit.server_doubles import SECRET, Clock, accept, connected, make_node, send
from tests.kit.tokens import connection_token, subscription_token

NOW = 1_700_000_000.25
KEPT_SECONDS = 2_592_000


def make(store: MemoryRevocations | None = None) -> Node:
    """Return a node at the time NOW."""
    return make_node(wall_clock=Clock(NOW), anonymous=True, revocations=store)


def store() -> MemoryRevocations:
    """Return a store that nodes share."""
    return MemoryRevocations(most=1000, page_size=10, wall_clock=Clock(NOW))


def token(user: str, **claims: JsonValue) -> str:
    """Return a connection token that does not expire."""
    return connection_token(SECRET, user, lifetime=None, **claims)


async def started() -> Node:
    """Start a node."""
    node = make()
    await node.broker.start(node)
    return node


async def settle() -> None:
    """Run all tasks until they wait."""
    for _ in range(30):
        await asyncio.sleep(0)


def refusal(node: Node, command: JsonObject) -> object:
    """Return the error code of a new connection's first command."""
    session, connection = accept(node)
    send(session, {"id": 1, **command})
    (reply,) = connection.take()
    assert isinstance(reply, dict)
    return reply.get("error", {}).get("code")


async def test_the_connection_of_a_revoked_token_ends_and_the_token_is_refused() -> None:
    """A revocation by id leaves connections of other tokens open."""
    node = await started()
    _, revoked = connected(node, token("ann", jti="t1"))
    _, other = connected(node, token("ann", jti="t2"))
    _, anonymous = connected(node)
    assert await ServerApi(node).revoke(Revoking(jti="t1")) == NOW + KEPT_SECONDS
    await settle()
    assert (revoked.closed_by, other.closed_by, anonymous.closed_by) == (codes.TOKEN_REVOKED, None, None)
    assert codes.TOKEN_REVOKED.reconnect
    assert refusal(node, {"connect": {"token": token("ann", jti="t1")}}) == codes.TOKEN_EXPIRED.code
    assert refusal(node, {"connect": {"token": token("ann", jti="t2")}}) is None
    assert node.revoker.revocations.refused == 1


async def test_a_users_tokens_that_were_issued_until_now() -> None:
    """Tokens issued in the current second are revoked; later ones and those of other users are not."""
    node = await started()
    issued = {"before": int(NOW) - 5, "now": int(NOW), "after": int(NOW) + 1}
    connections = {when: connected(node, token("ann", iat=iat))[1] for when, iat in issued.items()}
    connections["unknown"] = connected(node, token("ann"))[1]
    connections["bob"] = connected(node, token("bob", iat=1))[1]
    await ServerApi(node).revoke(Revoking(user="ann", expires_at=NOW + 60))
    await settle()
    ended = {when for when, connection in connections.items() if connection.closed_by == codes.TOKEN_REVOKED}
    assert ended == {"before", "now", "unknown"}
    assert refusal(node, {"connect": {"token": token("ann", iat=int(NOW))}}) == codes.TOKEN_EXPIRED.code
    assert refusal(node, {"connect": {"token": token("ann", iat=int(NOW) + 1)}}) is None


async def test_everybodys_tokens_of_before_a_time() -> None:
    """A revocation for all users, as after a key was stolen, does not affect a client without a token."""
    node = await started()
    _, old = connected(node, token("ann", iat=100))
    _, new = connected(node, token("bob", iat=101))
    _, anonymous = connected(node)
    await ServerApi(node).revoke(Revoking(issued_before=101))
    await settle()
    assert (old.closed_by, new.closed_by, anonymous.closed_by) == (codes.TOKEN_REVOKED, None, None)


async def test_a_refreshed_connection_has_its_new_token() -> None:
    """A revocation of the old token does not affect a connection after its refresh."""
    node = await started()
    session, connection = connected(node, token("ann", jti="t1"))
    send(session, {"id": 2, "refresh": {"token": token("ann", jti="t2")}})
    await ServerApi(node).revoke(Revoking(jti="t1"))
    await settle()
    assert connection.closed_by is None
    await ServerApi(node).revoke(Revoking(jti="t2"))
    await settle()
    assert connection.closed_by == codes.TOKEN_REVOKED


async def test_the_subscription_of_a_revoked_token_ends_alone() -> None:
    """The subscription token is refused afterwards, so that the SDK fetches another one."""
    node = await started()
    session, connection = connected(node, token("ann", iat=int(NOW) + 1))
    for number, jti in enumerate(("s1", "s2"), start=2):
        secret = subscription_token(SECRET, "ann", f"$news:{jti}", jti=jti)
        send(session, {"id": number, "subscribe": {"channel": f"$news:{jti}", "token": secret}})
    send(session, {"id": 4, "subscribe": {"channel": "news:a"}})
    await settle()
    assert set(session.subscriptions) == {"$news:s1", "$news:s2", "news:a"}
    connection.take()
    await ServerApi(node).revoke(Revoking(jti="s1"))
    await settle()
    expected = {"push": {"channel": "$news:s1", "unsubscribe": {"code": 2501, "reason": "token revoked"}}}
    assert connection.take() == [expected]
    assert set(session.subscriptions) == {"$news:s2", "news:a"}
    again = {"channel": "$news:s1", "token": subscription_token(SECRET, "ann", "$news:s1", jti="s1")}
    send(session, {"id": 5, "subscribe": again})
    (reply,) = connection.take()
    assert isinstance(reply, dict)
    assert reply["error"]["code"] == codes.TOKEN_EXPIRED.code
    await ServerApi(node).revoke(Revoking(user="ann"))
    await settle()
    assert set(session.subscriptions) == {"news:a"}
    assert connection.closed_by is None


class SlowBroker(MemoryBroker):
    """Broker whose subscribe calls wait until `open` is set."""

    immediate = False

    def __init__(self) -> None:
        super().__init__(clock=Clock())
        self.open = asyncio.Event()

    async def subscribe(self, channel: str) -> None:
        """Wait, then subscribe."""
        await self.open.wait()
        await super().subscribe(channel)


async def test_a_subscription_that_was_being_made_ends_too() -> None:
    """A subscription in progress at the revocation ends."""
    broker = SlowBroker()
    node = make_node(broker, wall_clock=Clock(NOW), anonymous=True)
    await node.broker.start(node)
    session, connection = connected(node, token("ann"))
    secret = subscription_token(SECRET, "ann", "$news:a", jti="s1")
    send(session, {"id": 2, "subscribe": {"channel": "$news:a", "token": secret}})
    await settle()
    await ServerApi(node).revoke(Revoking(jti="s1"))
    await settle()
    broker.open.set()
    await settle()
    assert set(session.subscriptions) == set()
    expected = {"push": {"channel": "$news:a", "unsubscribe": {"code": 2501, "reason": "token revoked"}}}
    assert connection.take()[-1] == expected


async def test_a_connection_that_was_being_made_ends_too() -> None:
    """A connection whose channels are being joined at the revocation ends."""
    broker = SlowBroker()
    node = make_node(broker, wall_clock=Clock(NOW))
    await node.broker.start(node)
    session, connection = accept(node)
    send(session, {"id": 1, "connect": {"token": token("ann", jti="t1", channels=["news:a"])}})
    await settle()
    await ServerApi(node).revoke(Revoking(jti="t1"))
    await settle()
    broker.open.set()
    await settle()
    assert connection.closed_by == codes.TOKEN_REVOKED
    assert node.hub.channels == {}


async def test_of_many_connections_each_is_looked_at() -> None:
    """Sessions are checked in parts; a revocation during the check causes another pass."""
    node = await started()
    connections = [connected(node, token("ann", jti=f"t{number}"))[1] for number in range(3 * CHECKED_AT_ONCE)]
    for number in (0, CHECKED_AT_ONCE, len(connections) - 1):
        await ServerApi(node).revoke(Revoking(jti=f"t{number}"))
        await asyncio.sleep(0)
    await settle()
    assert sum(connection.closed_by is not None for connection in connections) == 3


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (Revoking(), "needed"),
        (Revoking(expires_at=NOW + 9), "needed"),
        (Revoking(jti="t1", user="ann"), "no effect"),
        (Revoking(jti="t1", issued_before=5), "no effect"),
        (Revoking(user="ann", expires_at=NOW), "in the past"),
        (Revoking(issued_before=NOW + CLOCK_DIFFERENCE_SECONDS + 1), "in the future"),
    ],
)
async def test_a_call_that_says_too_little_or_too_much_is_refused(wanted: Revoking, why: str) -> None:
    """The error says what is wrong."""
    node = await started()
    with pytest.raises(CommandError) as caught:
        await ServerApi(node).revoke(wanted)
    assert caught.value.error == codes.BAD_REQUEST
    assert why in caught.value.why
    assert len(node.revoker.revocations) == 0


async def test_too_many_revocations_are_refused() -> None:
    """The call fails with advice, and nothing is revoked on this server alone."""
    node = make(MemoryRevocations(most=1, page_size=10, wall_clock=Clock(NOW)))
    await node.broker.start(node)
    await ServerApi(node).revoke(Revoking(jti="t1"))
    with pytest.raises(CommandError) as caught:
        await ServerApi(node).revoke(Revoking(jti="t2"))
    assert caught.value.error == codes.LIMIT_EXCEEDED
    assert len(node.revoker.revocations) == 1


# other workers


async def test_another_worker_does_the_same_when_it_hears_of_it() -> None:
    """Other workers apply the revocation from the control channel."""
    one, other = await started(), await started()
    _, connection = connected(other, token("ann", jti="t1"))
    sent: list[bytes] = []

    async def publish(message: bytes, node: str = "") -> None:
        assert not node
        sent.append(message)

    one.broker.publish_control = publish  # type: ignore[method-assign]
    await ServerApi(one).revoke(Revoking(jti="t1"))
    for message in sent:
        other.on_control(message)
    await settle()
    assert connection.closed_by == codes.TOKEN_REVOKED
    assert refusal(other, {"connect": {"token": token("ann", jti="t1")}}) == codes.TOKEN_EXPIRED.code


async def test_a_worker_knows_before_it_takes_clients() -> None:
    """A worker reads all revocations, in several pages, before it takes clients."""
    kept = store()
    await kept.add([Revocation(NOW + 60, jti=f"t{number}") for number in range(25)])
    node = make(kept)
    await node.start()
    assert len(node.revoker.revocations) == 25
    await node.stop()


async def test_a_worker_that_has_missed_the_message_reads_it() -> None:
    """A worker that missed the message reads the revocation and ends what it concerns."""
    kept = store()
    node = make(kept)
    await node.broker.start(node)
    _, connection = connected(node, token("ann", jti="t1"))
    await node.revoker.catch_up()
    await kept.add([Revocation(NOW + 60, jti="t1")])
    await node.revoker.catch_up()
    await settle()
    assert connection.closed_by == codes.TOKEN_REVOKED


class LosingStore(MemoryRevocations):
    """Store that can lose its data, as Redis without persistence, and can be away."""

    def __init__(self) -> None:
        super().__init__(most=1000, page_size=10, wall_clock=Clock(NOW))
        self.lost = self.away = False

    async def add(self, revocations: Sequence[Revocation]) -> bool:
        """Add, or fail while away."""
        if self.away:
            raise BackplaneError("away")
        return await super().add(revocations)

    async def read(self, since: str = "") -> RevocationPage:
        """Read, or fail while away; from the start after a loss."""
        if self.away:
            raise BackplaneError("away")
        return await super().read("" if self.lost else since)

    def lose(self) -> None:
        """Lose all data."""
        self._kept.clear()
        self.lost = True


async def test_what_the_store_has_lost_is_put_back() -> None:
    """A worker puts back lost revocations, and refuses the tokens meanwhile."""
    kept = LosingStore()
    node = make(kept)
    await node.broker.start(node)
    await ServerApi(node).revoke(Revoking(jti="t1"))
    await node.revoker.catch_up()
    kept.lose()
    await kept.add([Revocation(NOW + 60, jti="t2")])
    await node.revoker.catch_up()
    page = await kept.read()
    assert {one.jti for one in page.revocations} == {"t1", "t2"}
    assert len(node.revoker.revocations) == 2


async def test_after_a_gap_everything_is_read_at_once_or_later() -> None:
    """After a gap all revocations are read from the start, since a store that lost data may reuse positions."""
    kept = LosingStore()
    node = make(kept)
    await node.broker.start(node)
    await node.revoker.catch_up()
    await kept.add([Revocation(NOW + 60, jti="t1")])
    node.on_gap()
    await settle()
    assert len(node.revoker.revocations) == 1
    kept.lose()
    kept.lost, kept.away = False, True
    node.on_gap()
    await settle()
    kept.away = False
    await kept.add([Revocation(NOW + 60, jti="t2")])
    await node.revoker.catch_up()
    assert len(node.revoker.revocations) == 2


async def test_while_the_store_is_away_nothing_is_said_to_be_revoked() -> None:
    """The call fails and may be repeated."""
    kept = LosingStore()
    node = make(kept)
    await node.broker.start(node)
    kept.away = True
    with pytest.raises(BackplaneError):
        await ServerApi(node).revoke(Revoking(jti="t1"))
    kept.away = False
    await ServerApi(node).revoke(Revoking(jti="t1"))
    assert len(node.revoker.revocations) == 1
