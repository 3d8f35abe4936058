"""Decoding of properties that are not what they should be.

RabbitMQ passes on whatever a publisher wrote. To pamqp a text that is not UTF-8, a time beyond the year 9999 or a table
that breaks off is an error of the connection: the message would end each connection that gets it, and stop its queue.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from pamqp import decode
from pamqp.common import FieldTable, FieldValue

UNREADABLE_HEADERS = "x-realtime-unreadable-headers"
"""Header that a message has instead of those that could not be read."""
_LENGTH_BYTES = 4
_TIMESTAMP_BYTES = 8
_ERRORS = (ValueError, OverflowError, OSError, RecursionError)


def decode_leniently() -> None:
    """Let pamqp decode what is not valid: text with replacement characters, a time as 1970, a table as one marker.

    Applies to the whole process. Idempotent.
    """
    decode.METHODS["shortstr"] = _text
    decode.METHODS["timestamp"] = _or_else(
        decode.timestamp, lambda _value: (_TIMESTAMP_BYTES, datetime.fromtimestamp(0, UTC))
    )
    decode.METHODS["table"] = _or_else(decode.field_table, _unreadable_table)


def _text(value: bytes) -> tuple[int, str]:
    length = value[0]
    return length + 1, value[1 : length + 1].decode(errors="replace")


def _unreadable_table(value: bytes) -> tuple[int, FieldTable]:
    return _LENGTH_BYTES + int.from_bytes(value[:_LENGTH_BYTES], "big"), {UNREADABLE_HEADERS: True}


def _or_else(
    function: Callable[[bytes], tuple[int, FieldValue]],
    otherwise: Callable[[bytes], tuple[int, FieldValue]],
) -> Callable[[bytes], tuple[int, FieldValue]]:
    def decoded(value: bytes) -> tuple[int, FieldValue]:
        try:
            return function(value)
        except _ERRORS:
            return otherwise(value)

    return decoded
