"""Replies to commands: their size, errors, and clients that receive none."""

from __future__ import annotations

from msgspec import Raw

from realtime_server import codes
from realtime_server.core.commands.replying_session import ReplyingSession
from realtime_server.core.limits.limit import Limit
from realtime_server.core.model.commands import EmptyResult, RpcResult
from realtime_server.core.sessions.session import Session
from tests.kit.server_doubles import RecordingConnection, connected, make_node


def replying() -> tuple[ReplyingSession, RecordingConnection]:
    """Return the session of a client that is admitted."""
    session, connection = connected(make_node())
    assert isinstance(session, ReplyingSession)
    return session, connection


def test_a_reply_above_the_maximum_size_becomes_an_error() -> None:
    session, connection = replying()
    session.reply(7, RpcResult(Raw(b'"%b"' % (b"x" * session._context.limits.reply_bytes))))
    assert connection.take() == [{"id": 7, "error": {"code": 106, "message": codes.LIMIT_EXCEEDED.message}}]
    assert session._context.counters.limits[Limit.REPLY_BYTES] == 1


def test_a_closed_session_replies_nothing() -> None:
    session, connection = replying()
    session.disconnect(codes.STALE)
    session.reply(7, EmptyResult("publish"))
    session.fail(8, codes.INTERNAL)
    assert connection.take() == []


def test_an_error_is_counted_and_sent_with_the_id_of_its_command() -> None:
    session, connection = replying()
    session.fail(7, codes.PERMISSION_DENIED)
    assert connection.take() == [{"id": 7, "error": {"code": 103, "message": codes.PERMISSION_DENIED.message}}]
    assert session._context.counters.command_errors[103] == 1


def test_a_session_of_any_protocol_has_no_commands() -> None:
    """Another protocol has no ids of commands, and no results: its codec needs no replies."""
    assert not {"reply", "reply_within", "fail"} & set(dir(Session))
