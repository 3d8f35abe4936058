"""Lookup of sessions, and actions for users under identification."""

from __future__ import annotations

from realtime_server.core.auth.claims import Claims
from realtime_server.core.sessions.registry import Registry
from realtime_server.core.sessions.session import Session
from tests.kit.server_doubles import accept, make_node


def identified(registry: Registry, session: Session, user: str) -> None:
    """Identify a session as the backend would."""
    session.admit(Claims(user), 0.0)
    registry.add_user(session)
    registry.end_identification(session)


def sessions(count: int) -> list[Session]:
    """Return sessions without a user."""
    node = make_node()
    return [accept(node)[0] for _ in range(count)]


def test_users_are_found_by_all_their_names() -> None:
    """An empty name matches all; without a match the result is empty."""
    registry = Registry()
    one, two = sessions(2)
    for session in (one, two):
        identified(registry, session, "alice")
    assert registry.of_user("alice") == [one, two]
    assert registry.of_user("alice", "", two.client) == [two]
    assert registry.of_user("alice", one.client, two.client) == []
    assert registry.of_user("bob") == []
    registry.remove(one)
    registry.remove(two)
    assert registry.users == 0


def test_what_comes_while_a_user_is_asked_for_is_done_afterwards() -> None:
    """The action applies to sessions that turn out to be of that user, if requested since identification began."""
    registry = Registry()
    done: list[tuple[str, Session]] = []
    alice, bob = sessions(2)
    registry.apply("alice", (), lambda session: done.append(("before", session)))
    registry.begin_identification(alice)
    registry.begin_identification(bob)
    registry.apply("alice", ("", ""), lambda session: done.append(("all", session)))
    registry.apply("alice", ("another name",), lambda session: done.append(("other", session)))
    registry.apply("alice", (alice.client,), lambda session: done.append(("this", session)))
    assert done == []
    identified(registry, bob, "bob")
    identified(registry, alice, "alice")
    assert done == [("all", alice), ("this", alice)]
    registry.apply("alice", (), lambda session: done.append(("after", session)))
    assert done[2:] == [("after", alice)]


def test_nothing_is_kept_that_nobody_waits_for() -> None:
    """Requests are dropped once no identification needs them, in whatever order these end."""
    registry = Registry()
    first, second, third = sessions(3)
    seen: list[int] = []
    for number, session in enumerate((first, second, third)):
        registry.begin_identification(session)
        registry.apply("alice", (), lambda _, number=number: seen.append(number))  # type: ignore[misc] # a default binds the loop variable
    assert len(registry._requests) == 3
    identified(registry, second, "alice")
    assert seen == [1, 2]
    assert len(registry._requests) == 3
    registry.remove(first)
    assert len(registry._requests) == 1
    identified(registry, third, "alice")
    assert seen == [1, 2, 2]
    assert len(registry._requests) == 0
    registry.apply("alice", (), lambda _: seen.append(9))
    assert len(registry._requests) == 0


def test_a_session_goes_by_the_id_of_the_one_that_it_continues() -> None:
    """The end of the other one leaves it alone."""
    registry = Registry()
    before, after = sessions(2)
    client, own = before.client, after.client
    registry.add(before)
    registry.add(after)
    registry.rename(after, client)
    assert registry.with_client(client) is after
    assert registry.with_client(own) is None
    registry.remove(before)
    assert registry.with_client(client) is after
    registry.remove(after)
    assert registry.with_client(client) is None
