"""Headers of a connect command: which are forwarded, and which are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.client_headers import MAX_BYTES, InvalidHeadersError, passed_on


def test_only_listed_names_are_passed_on() -> None:
    """The names are in lower case, however the client wrote them."""
    given_ = {"Authorization": "x", "Host": "evil", "Content-Length": "0", "X-Realtime-Signature": "t=1,v1=0"}
    assert passed_on(given_, ("authorization", "cookie")) == {"authorization": "x"}
    assert passed_on(given_, ()) == {}


def test_what_proxies_write_comes_from_a_request_alone() -> None:
    """Headers of proxies are not taken from a connect command, where no proxy could remove a forged one."""
    names = ("forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-user", "x-shop")
    assert passed_on(dict.fromkeys(names, "1"), names) == {"x-shop": "1"}


@pytest.mark.parametrize(
    "headers",
    [{"x-a": "1\r\nHost: evil"}, {"x-a": "1\n"}, {"x-a": "\x00"}, {"x-a": "\x7f"}, {"x a": "1"}, {"x-a:": "1"},
     {"": "1"}, {"x-a\r\nx-b": "1"}, {"x-ä": "1"}, {"Cookie": "1", "cookie": "2"}, {"x-a": "1" * (MAX_BYTES - 2)},
     {f"x-{number}": "1" * 1000 for number in range(9)}],
)  # fmt: skip
def test_what_is_no_legal_header_is_refused(headers: dict[str, str]) -> None:
    """An illegal header is refused even if it is not forwarded, and the error has none of the client's text."""
    with pytest.raises(InvalidHeadersError) as caught:
        passed_on(headers, ())
    assert caught.value.args[0].isascii()
    assert "evil" not in caught.value.args[0]


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=3))
def test_what_is_passed_on_is_one_line_each(headers: dict[str, str]) -> None:
    """Whatever a client sends, a forwarded value is one line."""
    try:
        found = passed_on(headers, [name.lower() for name in headers])
    except InvalidHeadersError:
        return
    for name, value in found.items():
        assert name.isascii()
        assert not set(f"{name}{value}") & {"\r", "\n", "\0"}
