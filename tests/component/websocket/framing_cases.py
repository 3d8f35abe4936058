"""Sections 1 to 5, 9 and 10: sizes, pings and pongs, reserved bits, opcodes, fragments, limits."""

from __future__ import annotations

from collections.abc import Iterator

from tests.component.websocket.case import (
    BINARY,
    CONT,
    PING,
    PONG,
    TEXT,
    Case,
    close,
    frame,
    illegal,
    legal,
    message,
    pieces,
)

LIMIT = 262_144
"""Maximum size of a message."""
HELLO = (TEXT, b"Hello")
NAMES = {TEXT: "text", BINARY: "binary"}


def framing() -> Iterator[Case]:
    """Section 1: messages of all sizes, at the bounds of the three forms of the length."""
    for opcode, name in NAMES.items():
        for size in (0, 1, 2, 124, 125, 126, 127, 128, 65_535, 65_536, 65_537):
            payload = (b"*" if opcode == TEXT else b"\xfe") * size
            yield legal(f"1 {name} of {size}", frame(opcode, payload), echoed=[(opcode, payload)])
    yield legal("1 a mask of zeros", frame(TEXT, b"Hello", mask=bytes(4)), echoed=[HELLO])
    yield legal("1 a mask of ones", frame(TEXT, b"Hello", mask=b"\xff" * 4), echoed=[HELLO])
    yield illegal("1 not masked", frame(TEXT, b"Hello", mask=None))
    yield illegal("1 empty and not masked", frame(TEXT, mask=None))
    yield illegal("1 a ping that is not masked", frame(PING, mask=None))


def pings() -> Iterator[Case]:
    """Section 2: every ping is answered with its payload, a pong is not answered."""
    for payload in (b"", b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125):
        yield legal(f"2 ping with {len(payload)} bytes", frame(PING, payload), pongs=[payload])
    for size in (126, 127, 1000, 65_536):
        yield illegal(f"2 ping with {size} bytes", frame(PING, b"\xfe" * size))
        yield illegal(f"2 pong with {size} bytes", frame(PONG, b"\xfe" * size))
    yield legal("2 pong without a ping", frame(PONG))
    yield legal("2 pong with a payload", frame(PONG, b"unsolicited"))
    yield legal("2 pong, then ping", frame(PONG, b"unsolicited"), frame(PING, b"ping"), pongs=[b"ping"])
    ten = [b"payload-%d" % number for number in range(10)]
    yield legal("2 ten pings", *(frame(PING, payload) for payload in ten), pongs=ten)


def reserved_bits() -> Iterator[Case]:
    """Section 3: reserved bits without a negotiated meaning."""
    for bits in range(1, 8):
        broken = frame(TEXT, b"Hello", reserved=bits << 4)
        yield illegal(f"3 reserved {bits}", broken)
        yield illegal(f"3 reserved {bits} after a message", frame(TEXT, b"Hello"), broken, echoed=[HELLO])
        yield illegal(f"3 reserved {bits} before a ping", broken, frame(PING, b"p"))
        yield illegal(f"3 reserved {bits} in a ping", frame(PING, b"p", reserved=bits << 4))
        yield illegal(f"3 reserved {bits} in a close", frame(8, b"\x03\xe8", reserved=bits << 4))
        yield illegal(
            f"3 reserved {bits} in a fragment",
            frame(BINARY, b"a", fin=False),
            frame(CONT, b"b", reserved=bits << 4),
        )


def opcodes() -> Iterator[Case]:
    """Section 4: unknown opcodes."""
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield illegal(f"4 opcode {opcode}", frame(opcode))
        yield illegal(f"4 opcode {opcode} with a payload", frame(opcode, b"reserved"))
        yield illegal(
            f"4 opcode {opcode} after a message",
            frame(TEXT, b"Hello"),
            frame(opcode, b"reserved"),
            frame(PING),
            echoed=[HELLO],
        )


def fragments() -> Iterator[Case]:
    """Section 5: fragments."""
    parts = [b"fragment1", b"fragment2", b"fragment3", b"fragment4", b"fragment5"]
    two, five = b"".join(parts[:2]), b"".join(parts)
    for opcode, name in (PING, "ping"), (PONG, "pong"), (8, "close"):
        yield illegal(f"5 fragmented {name}", frame(opcode, b"", fin=False), frame(CONT, b""))
    for opcode, name in NAMES.items():
        yield legal(f"5 {name} in two", *message(opcode, *parts[:2]), echoed=[(opcode, two)])
        first, second = message(opcode, *parts[:2])
        yield legal(
            f"5 {name} and a ping", first, frame(PING, b"ping"), second, echoed=[(opcode, two)], pongs=[b"ping"]
        )
        yield legal(f"5 {name} and a pong", first, frame(PONG, b"pong"), second, echoed=[(opcode, two)])
        one, *others = message(opcode, *parts)
        mixed = [piece for other in others for piece in (frame(PING, b"ping"), other)]
        yield legal(f"5 {name} and pings", one, *mixed, echoed=[(opcode, five)], pongs=[b"ping"] * 4)
        yield legal(
            f"5 {name} twice",
            *message(opcode, *parts),
            *message(opcode, *parts[:2]),
            echoed=[(opcode, five), (opcode, two)],
        )
    yield illegal("5 nothing to continue", frame(CONT, b"a"))
    yield illegal("5 nothing to continue, not the last", frame(CONT, b"a", fin=False), frame(TEXT, b"Hello"))
    yield illegal(
        "5 continued after its end",
        *message(TEXT, *parts[:2]),
        frame(CONT, b"a"),
        frame(TEXT, b"Hello"),
        echoed=[(TEXT, two)],
    )
    for opcode, name in NAMES.items():
        yield illegal(f"5 {name} within a text", frame(TEXT, b"a", fin=False), frame(opcode, b"b"))
        yield illegal(
            f"5 {name} within a text, fragmented", frame(TEXT, b"a", fin=False), frame(opcode, b"b", fin=False)
        )
    yield illegal("5 unknown opcode within a text", frame(TEXT, b"a", fin=False), frame(3, b"b"))


def limits() -> Iterator[Case]:
    """Sections 9 and 10: the longest messages, longer ones, and many messages."""
    for opcode, name in NAMES.items():
        payload = b"*" * LIMIT
        yield legal(f"9 {name} of {LIMIT}", frame(opcode, payload), echoed=[(opcode, payload)])
        yield illegal(f"9 {name} of {LIMIT + 1}", frame(opcode, payload + b"*"), code=1009)
        for size in (64, 1000, 65_536):
            cut = message(opcode, *pieces(payload, size))
            yield legal(f"9 {name} of {LIMIT} in fragments of {size}", *cut, echoed=[(opcode, payload)])
        yield illegal(f"9 {name} of {LIMIT + 1} in fragments", *message(opcode, payload[:-9], b"*" * 10), code=1009)
    yield legal("9 endlessly empty", *message(TEXT, *[b""] * 2000), echoed=[(TEXT, b"")])
    for length in (LIMIT + 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1):
        yield illegal(f"9 only the header of {length}", b"\x82\xff" + length.to_bytes(8, "big"), code=1009)
    many = [b"message %d" % number for number in range(1000)]
    yield legal("9 a thousand messages", *(frame(TEXT, one) for one in many), echoed=[(TEXT, one) for one in many])
    long = b"*" * 65_536
    yield legal("10 fragments of 1300", *message(TEXT, *pieces(long, 1300)), echoed=[(TEXT, long)])
    yield Case("10 a close in the middle of nothing", (close(),), 1000)


CASES = (*framing(), *pings(), *reserved_bits(), *opcodes(), *fragments(), *limits())
