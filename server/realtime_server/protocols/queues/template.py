"""Templates of the channels of queues: `orders:{routing_key.2}`, `devices:{header.device}`."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from realtime_server.core.model.namespaces import namespace_of
from realtime_server.core.ports.message_broker import QueuedMessage
from realtime_server.protocols.channel_templates import PlaceholderError, TemplateError, join_template, split_template

_NAMES = re.compile(r"routing_key(\.[1-9][0-9]?)?|header\.[A-Za-z0-9_.-]{1,64}")


class Source(StrEnum):
    """Origin of a placeholder's value."""

    ROUTING_KEY = "routing_key"
    HEADER = "header"


class Placeholder(NamedTuple):
    """Placeholder of a template; `name` is that of a header, or the number of a word of the routing key from 1 on.

    Without a name it is the whole routing key.
    """

    source: Source
    name: str = ""

    def __str__(self) -> str:
        """Return it as it is written in a template."""
        return f"{{{self.source}.{self.name}}}" if self.name else f"{{{self.source}}}"


class QueueTemplate(NamedTuple):
    """Template of a channel's name: its `text`, and the constant parts and placeholders in their order."""

    text: str
    pieces: tuple[str | Placeholder, ...]

    @property
    def namespace(self) -> str | None:
        """Namespace of every channel of this template, None for channels without one."""
        return namespace_of("".join(piece if isinstance(piece, str) else "x" for piece in self.pieces))

    def channel(self, message: QueuedMessage) -> str:
        """Return the channel's name for a message. Raises PlaceholderError."""
        return join_template(self.pieces, lambda placeholder: _value(placeholder, message))


def parse_template(text: str) -> QueueTemplate:
    """Parse a template. Raises TemplateError."""
    return QueueTemplate(text, split_template(text, lambda name: _placeholder(text, name)))


def _placeholder(text: str, name: str) -> Placeholder:
    if not _NAMES.fullmatch(name):
        raise TemplateError(
            f"{text}: {{{name}}} is no placeholder; use {{routing_key}}, {{routing_key.N}} for its Nth word, from 1 to"
            " 99, or {header.NAME}"
        )
    source, _, rest = name.partition(".")
    return Placeholder(Source(source), rest)


def _value(placeholder: Placeholder, message: QueuedMessage) -> str:
    if placeholder.source is Source.HEADER:
        value = message.headers.get(placeholder.name)
        if value is None:
            raise PlaceholderError(f"{placeholder}: is missing")
        return value
    if not placeholder.name:
        return message.routing_key
    words, number = message.routing_key.split("."), int(placeholder.name)
    if number > len(words):
        raise PlaceholderError(f"{placeholder}: is missing, the routing key has {len(words)} words")
    return words[number - 1]
