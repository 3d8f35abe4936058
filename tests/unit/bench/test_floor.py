"""The floor's handshake and frames, against Python's and the `websockets` library's."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from tests.unit.bench.c_library import c_library


@pytest.fixture(scope="module")
def floor() -> Iterator[ctypes.CDLL]:
    """Without its loop."""
    with c_library("floor", "handshake.c", "connections.c", "channels.c", "commands.c", "buffer.c") as library:
        library.answer_handshake.restype = ctypes.c_size_t
        library.frame_header.restype = ctypes.c_size_t
        library.frame_header.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
        yield library


@given(st.binary(max_size=247))
def test_sha1(floor: ctypes.CDLL, data: bytes) -> None:
    """As hashlib's, also around the ends of its blocks."""
    digest = ctypes.create_string_buffer(20)
    floor.sha1(data, ctypes.c_size_t(len(data)), digest)
    assert digest.raw == hashlib.sha1(data, usedforsecurity=False).digest()


@given(st.binary(min_size=1, max_size=64).map(bytes.hex).map(lambda text: text[:64]))
def test_accept_key(floor: ctypes.CDLL, key: str) -> None:
    """Sec-WebSocket-Accept (RFC 6455, section 4.2.2)."""
    accept = ctypes.create_string_buffer(29)
    floor.accept_key(key.encode(), ctypes.c_size_t(len(key)), accept)
    assert accept.value.decode() == accept_key(key)


def test_the_answer_to_the_example_of_the_rfc(floor: ctypes.CDLL) -> None:
    """RFC 6455, section 1.3. A request without a key gets none."""
    request = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    response = ctypes.create_string_buffer(256)
    length = floor.answer_handshake(request, ctypes.c_size_t(len(request)), response)
    assert response.raw[:length].endswith(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    assert floor.answer_handshake(b"GET /\r\n\r\n", ctypes.c_size_t(9), response) == 0


@settings(max_examples=30)
@given(st.one_of(st.integers(0, 300), st.integers(65_500, 70_000)))
def test_frame_headers(floor: ctypes.CDLL, length: int) -> None:
    """With lengths of 7, 16 and 64 bits (RFC 6455, section 5.2)."""
    header = ctypes.create_string_buffer(10)
    size = floor.frame_header(header, length)
    frame = Frame(Opcode.TEXT, b"x" * length).serialize(mask=False)
    assert header.raw[:size] == frame[: len(frame) - length]
