"""JSON commands, decoded into core's structs. Never awaits, never raises on bad input."""

from __future__ import annotations

import re

import msgspec

from realtime_server.core.model.commands import Command, malformed
from realtime_server.core.model.nesting import check_nesting

_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_WRONG = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_OPENING = re.compile(rb'\s*\{\s*(?:"id"\s*:\s*([1-9][0-9]{0,9})\s*,\s*)?"([a-z_]+)"\s*:')
"""Pattern of the beginning of a command: its id, if that comes first, and its name."""
_CLOSING = re.compile(rb'(?:,\s*"id"\s*:\s*([1-9][0-9]{0,9})\s*)?\}\s*\Z')
"""Pattern of the end of a command: its id, if that comes last."""
_LONGEST_CLOSING = 64
"""Number of trailing bytes of a command that are searched for its id."""


def decode_commands(message: bytes) -> tuple[Command, ...] | None:
    """Decode the commands of one message; None when it has none, or when the envelope of one cannot be read."""
    try:
        message.decode()  # the JSON decoder does not validate the strings of raw data
        check_nesting(message)
        if b"\n" not in message:
            return (_decoder.decode(message),)
        return tuple(_decoder.decode(line) for line in message.split(b"\n") if line.strip()) or None
    except _WRONG:
        return _decode_each(message)


def _decode_each(message: bytes) -> tuple[Command, ...] | None:
    """Decode the commands of a message of which at least one is malformed; None as in decode_commands."""
    if b"\n" not in message:
        command = _read_envelope(message)
        return None if command is None else (command,)
    commands: list[Command] = []
    for line in message.split(b"\n"):
        if line.strip():
            command = _decode(line)
            if command is None:
                return None
            commands.append(command)
    return tuple(commands) or None


def _decode(line: bytes) -> Command | None:
    """Decode one command, malformed or not; None when not even its envelope can be read."""
    try:
        line.decode()
        check_nesting(line)
        return _decoder.decode(line)
    except _WRONG:
        return _read_envelope(line)


def _read_envelope(line: bytes) -> Command | None:
    """Read the id and the name of a malformed command; None where they cannot be read.

    A command has two fields, and SDKs write the id first or last. The bytes between are not parsed again, so that
    refusing a command takes no longer than accepting it.
    """
    opening = _OPENING.match(line)
    closing = _CLOSING.search(line, max(0, len(line) - _LONGEST_CLOSING))
    if opening is None or closing is None:
        return None
    name, identifier = opening[2].decode(), opening[1] or closing[1]
    if identifier is None and name != "send":
        return None
    return malformed(int(identifier or 0), name)
