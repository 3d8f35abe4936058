"""What clients send whose connection carries only what they receive: commands, and for whom they are."""

from __future__ import annotations

import re

import msgspec
from google.protobuf.message import DecodeError

from realtime_server.protocols.centrifuge import client_pb2


class EmulationRequest(msgspec.Struct, frozen=True):
    """Commands for the session that was told `session`, on the worker that it was told is its `node`.

    `session` is a secret: whoever knows it may send commands as this client.
    """

    node: str
    session: str
    data: bytes


class _Document(msgspec.Struct):
    node: str
    session: str
    data: str


_NODE = re.compile("[0-9a-f-]{36}")
"""A UUID; it becomes part of a name in the backplane."""
_decoder: msgspec.json.Decoder[_Document] = msgspec.json.Decoder(_Document)


def decode_json(body: bytes) -> EmulationRequest | None:
    """A request in JSON, whose `data` is a string of commands in JSON; None for what is none."""
    try:
        found = _decoder.decode(body)
        return _checked(EmulationRequest(found.node, found.session, found.data.encode()))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def decode_protobuf(body: bytes) -> EmulationRequest | None:
    """A request in Protobuf; None for what is none."""
    try:
        found = client_pb2.EmulationRequest.FromString(body)
    except DecodeError:
        return None
    return _checked(EmulationRequest(found.node, found.session, found.data))


def _checked(request: EmulationRequest) -> EmulationRequest | None:
    return request if request.session and _NODE.fullmatch(request.node) else None
