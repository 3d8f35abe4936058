"""Sections 12 and 13: compressed messages on connections that have negotiated compression."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterator

from tests.component.websocket.case import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    Case,
    frame,
    illegal,
    legal,
    message,
    pieces,
)
from tests.component.websocket.framing_cases import LIMIT

OFFER = "permessage-deflate"
BOTH = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
ANSWER = f"{BOTH}; server_max_window_bits=12"
OFFERS: dict[str, str | None] = {
    OFFER: ANSWER,
    BOTH: ANSWER,
    f"{OFFER}; client_max_window_bits": ANSWER,
    f"{OFFER}; client_max_window_bits=9": f"{ANSWER}; client_max_window_bits=9",
    f"{OFFER}; server_max_window_bits=15": ANSWER,
    f"{OFFER}; server_max_window_bits=12; client_max_window_bits": ANSWER,
    f"{OFFER}; server_max_window_bits=9": None,
    f"{OFFER}; server_max_window_bits=9, {OFFER}": ANSWER,
    f"{OFFER}; no_such_parameter": None,
    "x-webkit-deflate-frame": None,
    "": None,
    f"{OFFER}; =": None,
}
"""Offers of clients, and the answers to them."""
_random = random.Random(12)
DOCUMENT = json.dumps([{"id": n, "price": _random.random(), "name": "Hello"} for n in range(2000)]).encode()
NOISE = _random.randbytes(LIMIT)


def deflated(data: bytes, level: int = 6, window: int = 15, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
    """Compress a message as a client may do it."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -window)
    made = compressor.compress(data) + compressor.flush(flush)
    return made + b"\0" if flush == zlib.Z_FINISH else made.removesuffix(b"\0\0\xff\xff")


def compressed(opcode: int, *parts: bytes) -> tuple[bytes, ...]:
    """Return a compressed message in fragments."""
    return message(opcode, *parts, reserved=RSV1)


def messages() -> Iterator[Case]:
    """Yield cases of messages of all sizes, by compressors with all settings."""
    for size in (0, 1, 16, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 100_000):
        data = DOCUMENT[:size]
        yield legal(f"12 document of {size}", *compressed(TEXT, deflated(data)), echoed=[(TEXT, data)])
        yield legal(f"12 noise of {size}", *compressed(BINARY, deflated(NOISE[:size])), echoed=[(BINARY, NOISE[:size])])
        yield legal(
            f"12 document of {size} ten times",
            *(one for _ in range(10) for one in compressed(TEXT, deflated(data))),
            echoed=[(TEXT, data)] * 10,
        )
    data = DOCUMENT[:40_000]
    for level in (0, 1, 9):
        for window in (9, 12, 15):
            sent = compressed(TEXT, deflated(data, level, window))
            yield legal(f"13 level {level}, window {window}", *sent, echoed=[(TEXT, data)])
    for flush, name in (zlib.Z_FULL_FLUSH, "full flush"), (zlib.Z_FINISH, "last block"):
        yield legal(f"13 {name}", *compressed(TEXT, deflated(data, flush=flush)), echoed=[(TEXT, data)])
    for size in (1, 7, 256, 1024):
        cut = compressed(TEXT, *pieces(deflated(data[:8000]), size))
        yield legal(f"13 in fragments of {size}", *cut, echoed=[(TEXT, data[:8000])])
    first, *others = compressed(TEXT, *pieces(deflated(data), 1000))
    mixed = [piece for other in others for piece in (frame(PING, b"p"), other)]
    yield legal("13 in fragments, and pings", first, *mixed, echoed=[(TEXT, data)], pongs=[b"p"] * len(others))
    yield legal("13 empty fragments", *compressed(TEXT, b"", deflated(data), b""), echoed=[(TEXT, data)])
    yield legal(
        "13 not compressed", frame(TEXT, data), *message(TEXT, data, data), echoed=[(TEXT, data), (TEXT, data * 2)]
    )
    yield legal(
        "13 by turns",
        *compressed(TEXT, deflated(data)),
        frame(TEXT, b"Hello"),
        *compressed(BINARY, deflated(data)),
        echoed=[(TEXT, data), (TEXT, b"Hello"), (BINARY, data)],
    )
    long = b"*" * LIMIT
    yield legal("13 as long as it may be", *compressed(TEXT, deflated(long)), echoed=[(TEXT, long)])


def faults() -> Iterator[Case]:
    """Yield cases of faults (RFC 7692, sections 6 and 7.2.2) and of bombs."""
    good = deflated(b"Hello")
    yield illegal("13 a byte too long", *compressed(TEXT, deflated(b"*" * (LIMIT + 1))), code=1009)
    bomb = deflated(bytes(50_000_000), 9)
    yield illegal("13 a bomb", *compressed(BINARY, bomb), code=1009)
    yield illegal("13 a bomb in fragments", *compressed(BINARY, *pieces(bomb, 1000)), code=1009)
    yield illegal(
        "13 marked twice",
        frame(TEXT, good[:2], fin=False, reserved=RSV1),
        frame(CONT, good[2:], reserved=RSV1),
    )
    yield illegal("13 marked late", frame(TEXT, b"a", fin=False), frame(CONT, good, reserved=RSV1))
    for opcode, name in (PING, "ping"), (10, "pong"), (CLOSE, "close"):
        yield illegal(f"13 compressed {name}", frame(opcode, good, reserved=RSV1))
    for bits in (RSV2, RSV3, RSV1 | RSV2, RSV1 | RSV3, RSV1 | RSV2 | RSV3):
        yield illegal(f"13 reserved {bits >> 4}", frame(TEXT, good, reserved=bits))
    yield illegal("13 compressed, unknown opcode", frame(3, good, reserved=RSV1))
    yield illegal("13 compressed, nothing to continue", frame(CONT, good, reserved=RSV1))
    yield illegal("13 no DEFLATE", *compressed(TEXT, b"\xff" * 20))
    yield illegal("13 nothing at all", *compressed(TEXT, b""))
    yield illegal("13 cut off", *compressed(TEXT, deflated(DOCUMENT)[:500]))
    yield illegal("13 after the last block", *compressed(TEXT, deflated(b"Hello", flush=zlib.Z_FINISH) + good))
    yield illegal("13 not UTF-8", *compressed(TEXT, deflated(b"Hello\xff")), code=1007)
    yield illegal("13 a character cut off", *compressed(TEXT, deflated(b"Hello\xc3")), code=1007)
    yield illegal("13 refers to what was not there", *compressed(TEXT, b"\x03\x02\x00"))
    window = _takeover()
    yield illegal(
        "13 refers to the message before", *compressed(TEXT, window[0]), *compressed(TEXT, window[1]),
        echoed=[(TEXT, DOCUMENT[:500])],
    )  # fmt: skip


def _takeover() -> tuple[bytes, bytes]:
    """Return two messages of a client that takes its context over, although it agreed not to."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    made = [compressor.compress(DOCUMENT[:500]) + compressor.flush(zlib.Z_SYNC_FLUSH) for _ in range(2)]
    return made[0][:-4], made[1][:-4]


CASES = (*messages(), *faults())
