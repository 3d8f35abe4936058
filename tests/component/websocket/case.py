"""Case of the conformance suite: bytes that a client sends, and the complete answer of the server.

The sections are those of the Autobahn test suite for servers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10
NORMAL = 1000
NO_CODE = 1005
"""Code that stands for a close frame without a code (RFC 6455, section 7.4.1)."""
MASK = b"\x37\xfa\x21\x3d"


@dataclass(frozen=True, slots=True)
class Case:
    """Conformance case; `code` is that of the server's close frame, which must be the last before the end.

    `echoed` lists opcodes and payloads of messages. Between messages and pongs there is no order.
    """

    name: str
    sent: tuple[bytes, ...]
    code: int
    echoed: tuple[tuple[int, bytes], ...] = ()
    pongs: tuple[bytes, ...] = ()


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, mask: bytes | None = MASK
) -> bytes:
    """Return a client's frame, with faults if wanted."""
    flag, length = 0 if mask is None else 0x80, len(payload)
    head = bytes(((FIN if fin else 0) | reserved | opcode,))
    if length < 126:
        head += bytes((flag | length,))
    elif length < 65536:
        head += bytes((flag | 126,)) + length.to_bytes(2, "big")
    else:
        head += bytes((flag | 127,)) + length.to_bytes(8, "big")
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ key for byte, key in zip(payload, cycle(mask), strict=False))


def close(code: int | None = NORMAL, reason: bytes = b"") -> bytes:
    """Return a client's close frame."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def message(opcode: int, *parts: bytes, reserved: int = 0) -> tuple[bytes, ...]:
    """Return a message in fragments; the reserved bits are those of the first one."""
    last = len(parts) - 1
    return tuple(
        frame(opcode if at == 0 else CONT, part, fin=at == last, reserved=reserved if at == 0 else 0)
        for at, part in enumerate(parts)
    )


def pieces(data: bytes, size: int) -> list[bytes]:
    """Return the data in pieces of a size, at least one."""
    return [data[at : at + size] for at in range(0, len(data), size)] or [b""]


def legal(name: str, *sent: bytes, echoed: Sequence[tuple[int, bytes]] = (), pongs: Sequence[bytes] = ()) -> Case:
    """Return a case without faults: it ends with the client's close, which is answered."""
    return Case(name, (*sent, close()), NORMAL, tuple(echoed), tuple(pongs))


def illegal(
    name: str, *sent: bytes, code: int = 1002, echoed: Sequence[tuple[int, bytes]] = (), pongs: Sequence[bytes] = ()
) -> Case:
    """Return a case in which the server has to fail the connection; the client sends nothing that would end it."""
    return Case(name, sent, code, tuple(echoed), tuple(pongs))
