"""WebSocket frames (RFC 6455, section 5): the common case parsed here, all others by the `websockets` library.

The common case is a complete, unfragmented, masked text or binary frame. A property test checks that both agree.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from typing import TypeAlias

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader

from realtime_server.codes import fitting_reason

TEXT = 0x81
BINARY = 0x82
COMMON = frozenset({TEXT, BINARY})
COMPRESSIBLE = frozenset({Opcode.TEXT, Opcode.BINARY})
CONTROL = frozenset({Opcode.PING, Opcode.PONG, Opcode.CLOSE})
RSV1 = 0x40
"""Bit of a message's first frame that marks it as compressed (RFC 7692, section 6)."""
Inflate: TypeAlias = Callable[[bytes, int], bytes]
"""Decompression of a message up to a limit in bytes; raises FrameError for invalid data or a longer message."""


def frame_text(payload: bytes) -> bytes:
    """Encode an unmasked, final text frame, as a server sends it."""
    return frame(TEXT, payload)


def frame_binary(payload: bytes) -> bytes:
    """Encode an unmasked, final binary frame, as a server sends it."""
    return frame(BINARY, payload)


def frame(first: int, payload: bytes) -> bytes:
    """Encode an unmasked frame; `first` is its first byte: FIN, the reserved bits and the opcode."""
    length = len(payload)
    if length < 126:
        return b"%c%c%b" % (first, length, payload)
    if length < 65536:
        return bytes((first, 126)) + length.to_bytes(2, "big") + payload
    return bytes((first, 127)) + length.to_bytes(8, "big") + payload


def split_frames(frames: bytes) -> Iterator[tuple[bool, bytes]]:
    """Yield the messages in frames that `frame_text` and `frame_binary` have made, each with whether it is binary."""
    begin = 0
    while begin < len(frames):
        length, header = frames[begin + 1], 2
        if length == 126:
            length, header = int.from_bytes(frames[begin + 2 : begin + 4], "big"), 4
        elif length == 127:
            length, header = int.from_bytes(frames[begin + 2 : begin + 10], "big"), 10
        end = begin + header + length
        yield frames[begin] == BINARY, frames[begin + header : end]
        begin = end


PING = b"\x89\x00"
"""Ping frame without payload."""


def frame_control(opcode: Opcode, payload: bytes) -> bytes:
    """Encode an unmasked control frame; `payload` has at most 125 bytes."""
    return bytes((0x80 | opcode, len(payload))) + payload


def frame_close(code: int, reason: str) -> bytes:
    """Encode a close frame; the reason is cut to what fits, between two characters."""
    return frame_control(Opcode.CLOSE, code.to_bytes(2, "big") + fitting_reason(reason).encode())


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Remove a client's mask, as one big integer, which is far faster than byte by byte."""
    length = len(payload)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(length, "little")


class FrameError(Exception):
    """Protocol error of the client; `code` is the WebSocket close code for it (RFC 6455, section 7.4)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def frame_end(buffer: bytes | bytearray, start: int, limit: int) -> int:
    """Return the end of the frame at `start`, 0 while that is unknown. Raises FrameError 1009 above `limit` bytes."""
    available = len(buffer) - start
    if available < 2:
        return 0
    second = buffer[start + 1]
    length, header = second & 0x7F, 2
    if length == 126:
        if available < 4:
            return 0
        length, header = int.from_bytes(buffer[start + 2 : start + 4], "big"), 4
    elif length == 127:
        if available < 10:
            return 0
        length, header = int.from_bytes(buffer[start + 2 : start + 10], "big"), 10
    if length > limit:
        raise FrameError(1009, "message too big")
    return start + header + (4 if second & 0x80 else 0) + length


class PartialMessage:
    """Fragments of an incomplete message.

    Text is checked per fragment, so that invalid text is refused before its end; compressed text is checked at the end.
    """

    __slots__ = ("_decoder", "_inflate", "_opcode", "_parts", "_size")

    def __init__(self, opcode: Opcode, inflate: Inflate | None) -> None:
        self._opcode = opcode
        self._inflate = inflate
        self._decoder = _UTF8_DECODER() if opcode is Opcode.TEXT and inflate is None else None
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, payload: bytes, limit: int, *, final: bool) -> None:
        """Add the next fragment. Raises FrameError."""
        self._size += len(payload)
        if self._size > limit:
            raise FrameError(1009, "message too big")
        if payload:  # a message of endlessly many empty fragments must take no memory
            self._parts.append(payload)
        if self._decoder is not None:
            try:
                self._decoder.decode(payload, final)
            except UnicodeDecodeError as error:
                raise FrameError(1007, "invalid UTF-8") from error

    def whole(self, limit: int) -> tuple[Opcode, bytes]:
        """Return the message, after its last fragment. Raises FrameError."""
        message = b"".join(self._parts)
        if self._inflate is not None:
            message = self._inflate(message, limit)
            if self._opcode is Opcode.TEXT and not is_text(message):
                raise FrameError(1007, "invalid UTF-8")
        return self._opcode, message


_UTF8_DECODER = codecs.getincrementaldecoder("utf-8")


def split(data: bytes | bytearray, limit: int) -> tuple[list[tuple[int, bytes]], int]:
    """Return the messages (opcode, payload) at the beginning of `data`, and the number of bytes they take.

    Only complete messages of the common case, up to `limit` bytes, are returned; it stops at the first other frame,
    incomplete or invalid ones included, which `FrameParser.take_rest` handles. Never raises. The twin of
    `server/native/frames.c`.
    """
    messages: list[tuple[int, bytes]] = []
    start = 0
    while len(data) - start >= 2 and data[start] in COMMON and data[start + 1] & 0x80:
        second = data[start + 1]
        try:
            end = frame_end(data, start, limit)
        except FrameError:
            break
        if not end or end > len(data):
            break
        body = start + (6 if second < 254 else 8 if second == 254 else 14)
        payload = unmask(bytes(data[body:end]), bytes(data[body - 4 : body]))
        if data[start] == TEXT and not is_text(payload):
            break
        messages.append((data[start] & 0x0F, payload))
        start = end
    return messages, start


Split: TypeAlias = Callable[[bytes | bytearray, int], tuple[list[tuple[int, bytes]], int]]


class FrameParser:
    """Parser of frames to complete messages; sans I/O. Any FrameError is final.

    `inflate` is for a connection with negotiated compression, `split` is one of the twins.
    """

    __slots__ = ("_inflate", "_limit", "_partial", "_rest", "_split")

    def __init__(self, limit: int, inflate: Inflate | None = None, split: Split = split) -> None:
        self._limit = limit
        self._inflate = inflate
        self._split = split
        self._rest: bytearray | None = None
        """Bytes received but not taken; None for none, which is what most connections keep."""
        self._partial: PartialMessage | None = None

    def take(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the common-case messages at the beginning of all received data; check `has_rest` afterwards."""
        rest = self._rest
        if rest is not None:
            rest += data
        received = data if rest is None else rest
        messages, taken = ([], 0) if self._partial is not None else self._split(received, self._limit)
        if taken == len(received):
            self._rest = None
        elif rest is None:
            self._rest = bytearray(data[taken:] if taken else data)
        else:
            del rest[:taken]
        return messages

    @property
    def has_rest(self) -> bool:
        """True when received data is left, which may be incomplete or need `take_rest`."""
        return self._rest is not None

    def take_rest(self) -> Iterator[tuple[int, bytes]]:
        """Yield the complete messages and control frames of the rest. Raises FrameError."""
        rest, start = self._rest, 0
        if rest is None:
            return
        try:
            while True:
                end = frame_end(rest, start, self._limit)
                if not end or end > len(rest):
                    return
                whole = bytes(rest[start:end])
                start = end
                event = self._take(whole)
                if event is not None:
                    yield event
        finally:
            del rest[:start]
            if not rest:
                self._rest = None

    def _take(self, data: bytes) -> tuple[int, bytes] | None:
        inflate = self._inflate if data[0] & RSV1 and data[0] & 0x0F in COMPRESSIBLE else None
        parsed = parse_frame(data if inflate is None else bytes((data[0] ^ RSV1,)) + data[1:], self._limit)
        payload = bytes(parsed.data)
        if parsed.opcode in CONTROL:
            if parsed.opcode is Opcode.CLOSE:
                check_close(payload)
            return parsed.opcode, payload
        partial = self._partial
        if (parsed.opcode is Opcode.CONT) != (partial is not None):
            raise FrameError(
                1002, "unexpected continuation" if parsed.opcode is Opcode.CONT else "expected continuation"
            )
        if partial is None:
            partial = self._partial = PartialMessage(parsed.opcode, inflate)
        partial.add(payload, self._limit, final=parsed.fin)
        if not parsed.fin:
            return None
        self._partial = None
        return partial.whole(self._limit)


def is_text(payload: bytes) -> bool:
    """Return True for valid UTF-8; anything else would break every client that receives it."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def check_close(payload: bytes) -> None:
    """Raise FrameError for a close frame whose code may not be sent (1002) or whose reason is not UTF-8 (1007)."""
    try:
        if payload:
            Close.parse(payload).check()
    except ProtocolError as error:
        raise FrameError(1002, str(error)) from error
    except UnicodeDecodeError as error:
        raise FrameError(1007, "invalid UTF-8") from error


def parse_frame(data: bytes, limit: int) -> Frame:
    """Parse one complete frame of a client with the library. Raises FrameError 1002."""
    reader = StreamReader()
    reader.feed_data(data)
    parser = Frame.parse(reader.read_exact, mask=True, max_size=limit)
    try:
        next(parser)
    except StopIteration as done:
        frame = done.value
        assert isinstance(frame, Frame)
        return frame
    except (ProtocolError, PayloadTooBig) as error:
        raise FrameError(1002, str(error)) from error
    raise FrameError(1002, "incomplete frame")
