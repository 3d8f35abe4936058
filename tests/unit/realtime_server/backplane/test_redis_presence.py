"""Encoding of a connection's info in Redis."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime_server.backplane.redis_presence import decode_info, encode_info
from realtime_server.core.model.values import ClientInfo

INFOS = st.builds(
    ClientInfo,
    user=st.text(st.characters(exclude_categories=["Cs"])),
    client=st.just("c1"),
    connection_info=st.none() | st.binary(),
    channel_info=st.none() | st.binary(),
)


@given(INFOS)
def test_what_was_written_is_read(info: ClientInfo) -> None:
    """Any info can be decoded again, whatever characters it contains."""
    assert decode_info("c1", encode_info(info)) == info


def test_it_begins_with_the_user() -> None:
    """The encoding begins with the user and its length in bytes, which the scripts read."""
    assert encode_info(ClientInfo("zoë", "c1", b"{}", None)) == b"4:zo\xc3\xab2:{}-"
