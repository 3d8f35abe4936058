"""Sizes of the answers of a worker, which no answer may exceed; for the requests see test_cluster_sockets."""

from __future__ import annotations

import secrets

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.socket_io.ack_collection import Ack, CollectedAcks
from realtime_server.socket_io.socket_index import SocketEntry, SocketPage
from realtime_server.socket_io.socket_requests import ACK_BYTES


@pytest.mark.parametrize("answered", [True, False])
def test_the_acknowledgements_of_as_many_sockets_as_are_asked_fit(answered: bool) -> None:
    """Half of an answer is for their data, and half for all else."""
    answer_bytes = 1 << 20
    clients = [secrets.token_hex(16) for _ in range(answer_bytes // 2 // ACK_BYTES)]
    data = b"x" * (answer_bytes // 2 // len(clients))
    found = CollectedAcks([Ack(client, data) for client in clients], []) if answered else CollectedAcks([], clients)
    assert len(msgspec.msgpack.encode(found)) <= answer_bytes


@given(st.builds(SocketEntry, st.text(), st.text(), st.text(), st.none() | st.binary(), st.lists(st.text())))
def test_a_socket_takes_no_more_than_its_size(entry: SocketEntry) -> None:
    empty = len(msgspec.msgpack.encode(SocketPage([], 1, is_last=True)))
    assert len(msgspec.msgpack.encode(SocketPage([entry], 1, is_last=True))) <= empty + entry.size
