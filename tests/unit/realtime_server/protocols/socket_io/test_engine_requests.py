"""Refused requests of Engine.IO, as the reference server answers them."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from realtime_server.protocols.socket_io.engine_requests import Refusal, TransportName, refuse_request
from tests.unit.realtime_server.protocols.socket_io.answers import RECORDED, Recorded

OTHERS = {"DELETE of a session", "HEAD of a session", "a preflight", "refused"}
"""Requests that the HTTP server refuses for their method or origin, or a hook for its reasons."""
REQUESTS = [one for one in RECORDED.values() if one.query and one.name not in OTHERS]


@pytest.mark.parametrize("recorded", REQUESTS, ids=lambda recorded: recorded.name)
def test_a_request_is_refused_as_by_the_reference(recorded: Recorded) -> None:
    query = dict(parse_qsl(recorded.query))
    current = TransportName.POLLING if query.get("sid") == "SID" else None
    upgrade = recorded.name.startswith("upgrade")
    refusal = refuse_request(recorded.method, query, current, upgrade=upgrade)
    if recorded.answer.status == 101:  # accepted, and broken off then
        assert refusal is Refusal.UNSUPPORTED_VERSION
    elif refusal is not None:
        assert refusal.answer(upgrade=upgrade) == recorded.answer.answer()
    else:
        assert recorded.answer.body.startswith(("0{", "ok")) or recorded.answer.status in {413, 400}
        assert not recorded.answer.body.startswith("{")


def test_a_hook_refuses_with_another_status() -> None:
    answer = Refusal.FORBIDDEN.answer()
    recorded = RECORDED["refused"].answer.answer()
    assert (answer.status, answer.content_type) == (recorded.status, recorded.content_type)
    assert answer.body == b'{"code":4,"message":"Forbidden"}'


@pytest.mark.parametrize("sid", ["", "&sid=a"])
def test_an_upgrade_is_to_a_websocket(sid: str) -> None:
    """The reference accepts the WebSocket, and closes it."""
    query = dict(parse_qsl("EIO=4&transport=polling" + sid))
    assert refuse_request("GET", query, TransportName.POLLING, upgrade=True) is Refusal.BAD_REQUEST


def test_a_session_that_was_upgraded_is_not_polled() -> None:
    query = dict(parse_qsl("EIO=4&transport=polling&sid=a"))
    assert refuse_request("GET", query, TransportName.WEBSOCKET) is Refusal.BAD_REQUEST
