"""Section 7: closing of connections."""

from __future__ import annotations

from collections.abc import Iterator

from tests.component.websocket.case import CLOSE, NO_CODE, NORMAL, PING, TEXT, Case, close, frame, illegal, message

HELLO = (TEXT, b"Hello")
ALLOWED = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
"""Codes of RFC 6455, section 7.4, and of IANA's registry."""
FORBIDDEN = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 5001, 32_768, 65_535)


def order() -> Iterator[Case]:
    """Yield cases in which data follows a close frame."""
    yield Case("7 message, close", (frame(TEXT, b"Hello"), close()), NORMAL, (HELLO,))
    yield Case("7 close twice", (close(), close()), NORMAL)
    yield Case("7 close, ping", (close(), frame(PING, b"p")), NORMAL)
    yield Case("7 close, message", (close(), frame(TEXT, b"Hello")), NORMAL)
    yield Case("7 close, what is broken", (close(), frame(3, b"Hello", reserved=0x70)), NORMAL)
    yield Case("7 close within a message", (frame(TEXT, b"a", fin=False), close(), frame(0, b"b")), NORMAL)
    long = b"*" * 200_000
    yield Case("7 a long message, close", (frame(TEXT, long), close(), frame(PING)), NORMAL, ((TEXT, long),))
    yield Case(
        "7 fragments, ping, close",
        (*message(TEXT, b"a", b"b"), frame(PING, b"p"), close()),
        NORMAL,
        ((TEXT, b"ab"),),
        (b"p",),
    )


def payloads() -> Iterator[Case]:
    """Yield cases of payloads of close frames."""
    yield Case("7 no code", (close(None),), NO_CODE)
    yield illegal("7 one byte", frame(CLOSE, b"\x03"))
    yield Case("7 a reason", (close(NORMAL, b"Hello World!"),), NORMAL)
    yield Case("7 the longest reason", (close(NORMAL, b"*" * 123),), NORMAL)
    yield Case("7 a reason of two-byte characters", (close(NORMAL, "ä".encode() * 61),), NORMAL)
    yield illegal("7 too long a reason", close(NORMAL, b"*" * 124))
    yield illegal("7 far too long a reason", close(NORMAL, b"*" * 70_000))
    yield illegal("7 a reason that is not UTF-8", close(NORMAL, b"\xce\xba\xe1\xbd\xed\xa0\x80edited"), code=1007)
    yield illegal("7 a reason cut off", close(NORMAL, b"*\xc3"), code=1007)
    yield illegal("7 fragmented", frame(CLOSE, b"\x03\xe8", fin=False))
    yield illegal("7 not masked", frame(CLOSE, b"\x03\xe8", mask=None))


def codes() -> Iterator[Case]:
    """Yield cases of close codes; valid ones are sent back."""
    for code in ALLOWED:
        yield Case(f"7 code {code}", (close(code),), code)
        yield Case(f"7 code {code} with a reason", (close(code, b"reason"),), code)
    for code in FORBIDDEN:
        yield illegal(f"7 code {code}", close(code))
        yield illegal(f"7 code {code} with a reason", close(code, b"reason"))


CASES = (*order(), *payloads(), *codes())
