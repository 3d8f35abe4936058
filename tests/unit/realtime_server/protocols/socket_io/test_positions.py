"""What a client sends to recover."""

from __future__ import annotations

import msgspec
import pytest

from realtime_server.core.model.values import SequencePosition
from realtime_server.protocols.socket_io.positions import Returning, encode_position, returning_in

PID = "0123456789abcdef" * 2


@pytest.mark.parametrize("epoch", ["a1b2c3d4", "6a-7", "-"])
def test_a_position_comes_back_as_it_was(epoch: str) -> None:
    position = SequencePosition(12, epoch)
    auth = msgspec.json.encode({"pid": PID, "offset": encode_position(position), "token": "t"})
    found = returning_in(auth)
    assert found == Returning(PID, position)


@pytest.mark.parametrize(
    "auth",
    [
        b"",
        b"{}",
        b"[]",
        b"{",
        b'{"pid":"%b"}' % PID.encode(),
        b'{"pid":7,"offset":"a-1"}',
        b'{"pid":"%b","offset":null}' % PID.encode(),
        b'{"pid":"%b0","offset":"a-1"}' % PID.encode(),
        b'{"pid":"%b\\n","offset":"a-1"}' % PID.encode(),
        b'{"pid":"%b","offset":""}' % PID.encode(),
        b'{"pid":"%b","offset":"a-"}' % PID.encode(),
        b'{"pid":"%b","offset":"-1"}' % PID.encode(),
        b'{"pid":"%b","offset":"a-01"}' % PID.encode(),
        b'{"pid":"%b","offset":"a--1"}x' % PID.encode(),
        b'{"pid":"%b","offset":"a-99999999999999999"}' % PID.encode(),
        b'{"pid":"%b","offset":"%b-1"}' % (PID.encode(), b"a" * 101),
        f'{{"pid":"{PID}","offset":"ä-1"}}'.encode(),
        f'{{"pid":"{PID}","offset":"a-\u0661"}}'.encode(),
    ],
)
def test_anything_else_is_no_request(auth: bytes) -> None:
    """It is bounded before it reaches the backplane."""
    assert returning_in(auth) is None
