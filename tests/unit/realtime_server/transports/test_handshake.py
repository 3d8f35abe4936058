"""Fast path of the handshake, compared with the `websockets` library."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.headers import parse_extension
from websockets.http11 import Request, Response

from realtime_server.transports.compression import Negotiation
from realtime_server.transports.dialect import select_subprotocol
from realtime_server.transports.handshake import (
    MAX_BYTES,
    MAX_HEADERS,
    AcceptedHandshake,
    TolerantHandshake,
    read_handshake,
)

USUAL = {
    "Host": "example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
PATH = "/connection/websocket"
CHANGES = {
    "Host": ["example.com:8000", "", "[::1]"],
    "Upgrade": ["WebSocket", "h2c", "websocket, h2c", ""],
    "Connection": ["keep-alive, Upgrade", "upgrade", "keep-alive", "Upgrade,", "", "close"],
    "Sec-WebSocket-Key": [
        "AAAAAAAAAAAAAAAAAAAAAA==",
        "short",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "!GhlIHNhbXBsZSBub25jZQ==",
        "",
    ],
    "Sec-WebSocket-Version": ["8", "013", "13, 8", ""],
    "Sec-WebSocket-Protocol": [
        "centrifuge-json",
        "centrifuge-protobuf",
        "other",
        "other, centrifuge-json",
        "centrifuge-json, @",
        "a b",
        ",",
        "",
    ],
    "Sec-WebSocket-Extensions": ["permessage-deflate; client_max_window_bits", "nonsense; ="],
    "Origin": ["https://example.com", "null"],
    "Content-Length": ["0", "5"],
    "Transfer-Encoding": ["chunked"],
    "X-Forwarded-For": ["10.0.0.1"],
    "Cookie": ["a=1; b=\u00e9", "a\tb"],
}


def head(headers: list[tuple[str, str]], *, line: str = f"GET {PATH} HTTP/1.1") -> bytes:
    """Return a request."""
    lines = [line, *(f"{name}: {value}" for name, value in headers)]
    return "".join(f"{one}\r\n" for one in (*lines, "")).encode("latin-1")


def read(data: bytes) -> AcceptedHandshake | None:
    """Return the outcome of the fast path."""
    return read_handshake(data, lambda _path, offered: select_subprotocol(offered))


def of_library(data: bytes) -> tuple[Request | None, Response | None]:
    """Return the library's outcome, with compression."""
    handshake = TolerantHandshake(extensions=[Negotiation()])
    handshake.select = select_subprotocol
    handshake.receive_data(data)
    for event in handshake.events_received():
        if isinstance(event, Request):
            return event, handshake.accept(event)
    return None, None


CHANGE = st.sampled_from([(name, value) for name, values in CHANGES.items() for value in values])


@given(st.lists(CHANGE, max_size=3), st.lists(CHANGE, max_size=1), st.sets(st.sampled_from(list(USUAL)), max_size=1))
def test_what_is_accepted_is_accepted_by_the_library(
    changed: list[tuple[str, str]], added: list[tuple[str, str]], left_out: set[str]
) -> None:
    """The answer is the same, except for headers without a meaning for clients."""
    headers = {**USUAL, **dict(changed)}
    data = head([(name, value) for name, value in headers.items() if name not in left_out] + added)
    accepted = read(data)
    if accepted is None:
        return
    request, response = of_library(data)
    assert request is not None
    assert response is not None
    assert response.status_code == 101
    status, *lines = accepted.response.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert status == "HTTP/1.1 101 Switching Protocols"
    ours = dict(line.split(": ") for line in lines)
    ignored = {"Date", "Server", "Sec-WebSocket-Extensions"}
    assert ours == {name: value for name, value in response.headers.raw_items() if name not in ignored}
    assert accepted.path == request.path
    for name in (*CHANGES, "Missing"):
        assert accepted.values(name) == request.headers.get_all(name)


@pytest.mark.parametrize(
    "headers",
    [
        USUAL,
        {**USUAL, "Origin": "https://example.com", "Cookie": "a=1", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"},
        {**USUAL, "Connection": "keep-alive, Upgrade", "Sec-WebSocket-Extensions": "permessage-deflate"},
        {**USUAL, "Sec-WebSocket-Protocol": "centrifuge-protobuf"},
    ],
    ids=["bare", "browser", "extensions are not negotiated here", "protobuf"],
)
def test_what_clients_send_is_usual(headers: dict[str, str]) -> None:
    """Requests of Chrome, Firefox, `ws` and `websockets` take the fast path."""
    accepted = read(head(list(headers.items()), line=f"GET {PATH}?a=b HTTP/1.1"))
    assert accepted is not None
    assert accepted.path == f"{PATH}?a=b"
    assert not accepted.compressed
    if "Sec-WebSocket-Extensions" in headers:
        assert parse_extension(accepted.values("sec-websocket-extensions")[0]) == [("permessage-deflate", [])]


@pytest.mark.parametrize(
    "data",
    [
        head(list(USUAL.items()))[:-1],
        head(list(USUAL.items())) + b"x",
        head(list(USUAL.items()), line=f"POST {PATH} HTTP/1.1"),
        head(list(USUAL.items()), line=f"GET {PATH} HTTP/1.0"),
        head(list(USUAL.items()), line="GET http://example.com/ HTTP/1.1"),
        head([*USUAL.items(), ("Host", "twice")]),
        head([*USUAL.items(), ("X", "a" * MAX_BYTES)]),
        head([*USUAL.items(), *((f"X-{number}", "a") for number in range(MAX_HEADERS))]),
        head([*USUAL.items(), ("X", "\u00e9")]),
        head([*USUAL.items(), ("X y", "a")]),
        head([*USUAL.items(), ("X", "a\r\n folded")]),
        head(list(USUAL.items())).replace(b"\r\n", b"\n"),
    ],
    ids=["not whole", "more than the head", "method", "version", "target", "twice", "long", "many", "not ASCII", "name",
         "folded", "line ends"],
)  # fmt: skip
def test_everything_else_is_for_the_library(data: bytes) -> None:
    """The library waits for the rest, accepts, or reports the fault."""
    assert read(data) is None


def test_the_answer_of_the_rfc() -> None:
    """The example is that of RFC 6455, section 1.3."""
    accepted = read(head(list(USUAL.items())))
    assert accepted is not None
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in accepted.response


def answered(name: str, *values: str) -> Response:
    """Return the library's answer to the common handshake with these lines of one more header."""
    _, response = of_library(head([*USUAL.items(), *((name, value) for value in values)]))
    assert response is not None
    return response


@pytest.mark.parametrize(
    "value", ["", ",", " , ,", "a b", "@", "centrifuge-json; q=1", "centrifuge-json, @", '"x"', "\u00e9"]
)
@pytest.mark.parametrize("header", ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"])
def test_an_offer_that_says_nothing_is_none(header: str, value: str) -> None:
    """The connection is made, and the answer does not contain the header."""
    response = answered(header, value)
    assert response.status_code == 101
    assert header not in response.headers


@pytest.mark.parametrize(
    ("header", "values", "answer"),
    [
        ("Sec-WebSocket-Protocol", ("", "centrifuge-protobuf"), "centrifuge-protobuf"),
        ("Sec-WebSocket-Protocol", ("other", ",", "centrifuge-json"), "centrifuge-json"),
        ("Sec-WebSocket-Protocol", (",centrifuge-json,",), "centrifuge-json"),
        ("Sec-WebSocket-Protocol", ("centrifuge-json", "@"), None),
        ("Sec-WebSocket-Extensions", ("", "permessage-deflate"), "permessage-deflate"),
        ("Sec-WebSocket-Extensions", ("permessage-deflate; no_such_parameter",), None),
        ("Sec-WebSocket-Extensions", ("permessage-deflate; server_max_window_bits=x",), None),
        ("Sec-WebSocket-Extensions", ("permessage-deflate; server_max_window_bits",), None),
        ("Sec-WebSocket-Extensions", ("x-other; a=b, permessage-deflate",), "permessage-deflate"),
        ("Sec-WebSocket-Extensions", ("permessage-deflate", "permessage-deflate; ="), None),
    ],
)
def test_empty_lines_leave_the_others(header: str, values: tuple[str, ...], answer: str | None) -> None:
    """A malformed line invalidates all lines of the header, since its meaning is unknown."""
    response = answered(header, *values)
    assert response.status_code == 101
    found = response.headers.get(header)
    assert (None if found is None else found.partition(";")[0]) == answer


def test_an_empty_subprotocol_is_usual() -> None:
    """centrifuge-python 0.4 to 0.6 send it, so that the fast path reads it."""
    accepted = read(head([*USUAL.items(), ("Sec-WebSocket-Protocol", "")]))
    assert accepted is not None
    assert accepted.subprotocol is None
    assert b"Sec-WebSocket-Protocol" not in accepted.response
