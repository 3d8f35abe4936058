"""Heads of repeated polls, and their answers; tests/component/socket_io/test_repeated_polls.py has what sockets see."""

from __future__ import annotations

import gzip
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.protocols.socket_io.engine_requests import TEXT, Answer
from realtime_server.transports.repeated_poll import MAX_BYTES, AnswerForm, repeated_head

REST = b" HTTP/1.1\r\nHost: a\r\nOrigin: b\r\n\r\n"
QUERY = b"GET /socket.io/?EIO=4&transport=polling&t=%b&sid=abc"
HEAD = QUERY % b"x1" + REST


@pytest.mark.parametrize(
    ("head", "is_kept"),
    [
        (HEAD, True),
        (b"GET /socket.io/?EIO=4&transport=polling&sid=abc" + REST, True),
        (b"GET /socket.io/?t=1.5&sid=abc" + REST, True),
        (b"", False),
        (b"POST /socket.io/?t=1" + REST, False),
        (HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"), False),
        (HEAD + b"G", False),
        (HEAD + HEAD, False),
        (HEAD.replace(b"\r\nOrigin", b"\nOrigin"), False),
        (HEAD.replace(b"\r\nOrigin", b"\rOrigin"), False),
        (HEAD.replace(b"Host: a", b"Host: " + b"a" * MAX_BYTES), False),
        (HEAD.replace(b"Origin: b", b"Origin: \xff"), False),
    ],
)
def test_the_head_of_one_usual_request_is_kept(head: bytes, *, is_kept: bool) -> None:
    assert (repeated_head(head) is not None) is is_kept


@pytest.mark.parametrize("stamp", [b"x2", b"Pxyz_-~.9", b"1700000000.123", b""])
def test_the_stamp_may_differ(stamp: bytes) -> None:
    """Those of socket.io-client and python-socketio."""
    kept = repeated_head(HEAD)
    assert kept is not None
    assert kept.matches(QUERY % stamp + REST)


@pytest.mark.parametrize(
    "data",
    [
        QUERY % b"1&sid=other" + REST,
        QUERY % b"1 HTTP/1.1\r\nHost: evil\r\n\r\n" + REST,
        QUERY % b"1%26sid" + REST,
        QUERY % b"1#" + REST,
        QUERY % b"1" + REST + b"x",
        QUERY % b"1" + REST.replace(b"Origin: b", b"Origin: c"),
        HEAD[:-1],
        HEAD[: len(HEAD) // 2],
        b"",
    ],
)
def test_nothing_else_may_differ(data: bytes) -> None:
    kept = repeated_head(HEAD)
    assert kept is not None
    assert not kept.matches(data)


@given(st.binary(max_size=30), st.integers(0, len(HEAD)), st.integers(0, 8))
def test_what_matches_means_the_same(inserted: bytes, at: int, dropped: int) -> None:
    """Wherever bytes are changed: the path, all parameters but `t`, and the rest of the head."""
    kept = repeated_head(HEAD)
    assert kept is not None
    data = HEAD[:at] + inserted + HEAD[at + dropped :]
    if kept.matches(data):
        target, _, rest = data.removeprefix(b"GET ").partition(b" ")
        path, _, query = target.partition(b"?")
        assert (path, b" " + rest) == (b"/socket.io/", REST)
        parameters = [pair for pair in parse_qsl(query.decode(), keep_blank_values=True) if pair[0] != "t"]
        assert parameters == [("EIO", "4"), ("transport", "polling"), ("sid", "abc")]


def test_without_a_stamp_a_head_matches_itself_alone() -> None:
    head = b"GET /socket.io/?sid=abc" + REST
    kept = repeated_head(head)
    assert kept is not None
    assert kept.matches(head)
    assert not kept.matches(head.replace(b"abc", b"abd"))


def test_an_answer_has_the_head_of_the_librarys() -> None:
    form = AnswerForm({"Vary": "Origin"}, None)
    head, _, body = form.encode(Answer(200, b"4a", TEXT), keeps=True).partition(b"\r\n\r\n")
    assert body == b"4a"
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert {b"Content-Type: text/plain; charset=UTF-8", b"Vary: Origin", b"Content-Length: 2"} <= {*lines}
    assert b"Connection" not in head
    refused = AnswerForm({}, None).encode(Answer(400), keeps=False)
    assert refused.startswith(b"HTTP/1.1 400 Bad Request\r\nCache-Control: no-store\r\nContent-Length: 0\r\n")
    assert refused.endswith(b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(("size", "is_compressed"), [(99, False), (100, True)])
def test_a_large_answer_is_compressed_for_clients_that_take_it(size: int, *, is_compressed: bool) -> None:
    answer = Answer(200, b"4" * size, TEXT)
    head, _, body = AnswerForm({}, 100).encode(answer, keeps=True).partition(b"\r\n\r\n")
    assert (b"\r\nContent-Encoding: gzip\r\n" in head) is is_compressed
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    assert (gzip.decompress(body) if is_compressed else body) == answer.body
