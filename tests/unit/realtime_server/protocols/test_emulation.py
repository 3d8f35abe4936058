"""Requests with the commands of emulated sessions."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.protocols.centrifuge import client_pb2
from realtime_server.protocols.centrifuge.emulation import EmulationRequest, decode_json, decode_protobuf

NODES = st.uuids().map(str)


@given(NODES, st.text(min_size=1, max_size=40), st.text(max_size=200))
def test_json_comes_back(node: str, session: str, data: str) -> None:
    """JSON commands are a string in the request."""
    body = json.dumps({"node": node, "session": session, "data": data}).encode()
    assert decode_json(body) == EmulationRequest(node, session, data.encode())


@given(NODES, st.text(min_size=1, max_size=40), st.binary(max_size=200))
def test_protobuf_comes_back(node: str, session: str, data: bytes) -> None:
    """Protobuf commands are bytes in the request."""
    body = client_pb2.EmulationRequest(node=node, session=session, data=data).SerializeToString()
    assert decode_protobuf(body) == EmulationRequest(node, session, data)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"node":"a","session":"b"}', b'{"node":1,"session":"b","data":""}', b"\xff", b"[" * 99999],
)
def test_what_is_no_request(body: bytes) -> None:
    """An invalid request yields None, never an exception."""
    assert decode_json(body) is None


@given(st.text(max_size=40), st.text(max_size=3))
def test_a_node_is_named_by_a_uuid(node: str, session: str) -> None:
    """The node must be a UUID, since it becomes part of a name in the backplane."""
    assert decode_json(json.dumps({"node": node, "session": session, "data": ""}).encode()) is None
    assert decode_protobuf(client_pb2.EmulationRequest(node=node, session=session).SerializeToString()) is None


@given(st.binary(max_size=100))
def test_no_bytes_break_protobuf(body: bytes) -> None:
    """Any bytes yield a request or None."""
    found = decode_protobuf(body)
    assert found is None or found.session
