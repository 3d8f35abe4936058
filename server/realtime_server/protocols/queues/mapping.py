"""Mappings of queued messages to commands.

A mapping is one of three: a template of the channel, a header that names channels, or a body that is a command of the
server API. The message's id is the idempotency key of its publications: one that the queue delivers twice is published
once.
"""

from __future__ import annotations

from typing import Protocol

import msgspec
from msgspec import Raw

from realtime_server import codes
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.nesting import check_nesting
from realtime_server.core.model.publication import as_json
from realtime_server.core.ports.api import Message
from realtime_server.core.ports.message_broker import ApiCommand, PublishCommand, QueuedCommand, QueuedMessage
from realtime_server.protocols.channel_templates import PlaceholderError
from realtime_server.protocols.queues.template import QueueTemplate

MAX_ID_LENGTH = 256
"""Characters of a message's id, as of an idempotency key in the server API."""
MAX_CHANNELS = 1000
"""Channels of one message."""
SEPARATOR = ","
_JSON = frozenset({"application/json", "text/json"})
_PUBLISHING = frozenset({"publish", "broadcast"})
_fields: msgspec.json.Decoder[dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw])
_encoder = msgspec.json.Encoder()


class Mapping(Protocol):
    """Mapping of messages to commands."""

    def command(self, message: QueuedMessage) -> QueuedCommand:
        """Return the command that a message means. Raises CommandError, which says what is wrong with the message."""


class TemplateMapping:
    """Mapping to a publication of the body in the channel of a template. `data_bytes` is the body's maximum size."""

    def __init__(self, template: QueueTemplate, data_bytes: int) -> None:
        self._template = template
        self._data_bytes = data_bytes

    def command(self, message: QueuedMessage) -> QueuedCommand:
        """See Mapping."""
        try:
            channel = self._template.channel(message)
        except PlaceholderError as error:
            raise CommandError(codes.BAD_REQUEST, f"channel {self._template.text}: {error}") from error
        return PublishCommand((channel,), _publication(message, self._data_bytes))


class HeaderMapping:
    """Mapping to a publication of the body in the channels that a header names, separated by commas.

    `data_bytes` is the body's maximum size.
    """

    def __init__(self, header: str, data_bytes: int) -> None:
        self._header = header
        self._data_bytes = data_bytes

    def command(self, message: QueuedMessage) -> QueuedCommand:
        """See Mapping."""
        names = message.headers.get(self._header)
        if names is None:
            raise CommandError(codes.BAD_REQUEST, f"the header {self._header} is missing: it names the channels")
        channels = tuple(dict.fromkeys(name.strip() for name in names.split(SEPARATOR)))
        if len(channels) > MAX_CHANNELS:
            raise CommandError(
                codes.LIMIT_EXCEEDED, f"the header {self._header} names {len(channels)} channels, not {MAX_CHANNELS}"
            )
        if not all(channels):
            raise CommandError(codes.BAD_REQUEST, f"the header {self._header} has an empty name of a channel")
        return PublishCommand(channels, _publication(message, self._data_bytes))


class CommandMapping:
    """Mapping of a body that is a command of the server API: an object with one field, the method's name.

    `methods` are those that messages may call; empty: all.
    """

    def __init__(self, methods: frozenset[str] = frozenset()) -> None:
        self._methods = methods

    def command(self, message: QueuedMessage) -> QueuedCommand:
        """See Mapping."""
        ident = _ident(message)
        method, request, subjects = self._call(message.body)
        if method in _PUBLISHING and ident and "idempotency_key" not in request:
            request = {**request, "idempotency_key": Raw(_encoder.encode(ident))}
        return ApiCommand(method, _encoder.encode(request), subjects)

    def _call(self, body: bytes) -> tuple[str, dict[str, Raw], tuple[str, ...]]:
        try:
            body.decode()  # the JSON decoder does not look into the strings of raw data
            check_nesting(body)
            ((method, request),) = _fields.decode(body).items()
            fields = _fields.decode(request)
            subjects = _subjects(fields)
        except (ValueError, RecursionError) as error:
            raise CommandError(
                codes.BAD_REQUEST, 'the body is no command: send {"METHOD": {...}}, as in a batch of the server API'
            ) from error
        if self._methods and method not in self._methods:
            raise CommandError(codes.PERMISSION_DENIED, "the method is not one of those that this queue may call")
        return method, fields, subjects


def _publication(message: QueuedMessage, data_bytes: int) -> Message:
    ident = _ident(message)
    if not message.body:
        raise CommandError(codes.BAD_REQUEST, "the body is empty: it is what is published")
    if len(message.body) > data_bytes:
        raise CommandError(codes.LIMIT_EXCEEDED, f"the body has {len(message.body)} bytes, more than {data_bytes}")
    is_json = message.content_type.partition(";")[0].strip().lower() in _JSON
    if is_json and as_json(message.body) is None:
        raise CommandError(codes.BAD_REQUEST, "the body is not JSON, which its content type says")
    return Message(message.body, binary=not is_json, idempotency_key=ident)


def _ident(message: QueuedMessage) -> str:
    if len(message.message_id) > MAX_ID_LENGTH:
        raise CommandError(codes.LIMIT_EXCEEDED, f"the message id is longer than {MAX_ID_LENGTH} characters")
    return message.message_id


def _subjects(request: dict[str, Raw]) -> tuple[str, ...]:
    """Return the channels, rooms and users that a request names, whose commands are carried out in order.

    What is no name is refused when the command is carried out.
    """
    found: list[object] = [msgspec.json.decode(request[name]) for name in ("channel", "user") if name in request]
    for name in ("channels", "rooms"):
        names = msgspec.json.decode(request[name]) if name in request else None
        found += names if isinstance(names, list) else []
    return tuple(dict.fromkeys(name for name in found if isinstance(name, str)))
