"""What emitters may write, drawn by hypothesis, and what becomes of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from realtime_server.protocols.socket_io.attachments import Value
from realtime_server.protocols.socket_io.emitters.instruction import Instruction
from realtime_server.protocols.socket_io.errors import Fault, SocketIoError

MOST = 10_000
"""Size that messages may have."""
ROOMS = st.lists(st.text(max_size=20), max_size=4)
JSON_LEAVES: st.SearchStrategy[Value] = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)  # fmt: skip
LEAVES: st.SearchStrategy[Value] = JSON_LEAVES | st.binary()


def trees(leaves: st.SearchStrategy[Value]) -> st.SearchStrategy[list[Value]]:
    """Return lists of arguments made of the leaves."""
    values = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=10,
    )
    return st.lists(values, max_size=3)


def fault_of(decode: Callable[[], Instruction | None]) -> Fault:
    """Return the fault with which a message is refused."""
    with pytest.raises(SocketIoError) as caught:
        decode()
    return caught.value.fault


def decode_or_refuse(decode: Callable[[], Instruction | None]) -> None:
    """Decode a message that may be refused; any other error is the test's."""
    with contextlib.suppress(SocketIoError):
        decode()
