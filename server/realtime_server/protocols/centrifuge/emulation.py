"""Requests that carry the commands of clients whose connection is one-way (server-sent events, HTTP streaming)."""

from __future__ import annotations

import re

import msgspec
from google.protobuf.message import DecodeError

from realtime_server.protocols.centrifuge import client_pb2


class EmulationRequest(msgspec.Struct, frozen=True):
    """Commands for `session`, on the worker `node`; both values are from the session's connect reply.

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
"""Pattern of a UUID; the value becomes part of a name in the backplane."""
_decoder: msgspec.json.Decoder[_Document] = msgspec.json.Decoder(_Document)


def decode_json(body: bytes) -> EmulationRequest | None:
    """Decode a JSON request, whose `data` is a string of JSON commands; None when it is malformed."""
    try:
        found = _decoder.decode(body)
        return _checked(EmulationRequest(found.node, found.session, found.data.encode()))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def decode_protobuf(body: bytes) -> EmulationRequest | None:
    """Decode a Protobuf request; None when it is malformed."""
    try:
        found = client_pb2.EmulationRequest.FromString(body)
    except DecodeError:
        return None
    return _checked(EmulationRequest(found.node, found.session, found.data))


def _checked(request: EmulationRequest) -> EmulationRequest | None:
    return request if request.session and _NODE.fullmatch(request.node) else None
