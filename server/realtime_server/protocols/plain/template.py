"""Templates of the channels of routes: `orders:{query.id}`, `#{sub}`. Parsed when the settings are loaded.

A template without values of the client is as good as a constant: it grants what it names. One with such a value only
asks for the channel, under the rules of its namespace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

from realtime_server.core.auth.claims import Claims
from realtime_server.core.model.namespaces import namespace_of
from realtime_server.protocols.channel_templates import (
    PlaceholderError,
    TemplateError,
    checked_value,
    join_template,
    split_template,
)

_NAMES = re.compile(r"sub|(?:meta|path)\.[A-Za-z0-9_-]{1,64}|query\.[A-Za-z0-9_.-]{1,64}|header\.[a-z0-9-]{1,64}")
SECRETS = frozenset({"access_token", "authorization", "cookie", "proxy-authorization", "sec-websocket-protocol"})
"""Names of parameters and headers with credentials."""

Values: TypeAlias = Mapping[str, Sequence[str]]
Header: TypeAlias = Callable[[str], Sequence[str]]


class RequestValues(Protocol):
    """Values that a client chooses: by the placeholders of the path, the parameters of the URL, and the headers."""

    @property
    def path(self) -> Values:
        """Values in the path, by the names of its placeholders."""

    @property
    def query(self) -> Values:
        """Parameters of the URL."""

    @property
    def header(self) -> Header:
        """Function that returns the lines of a header."""


class Source(StrEnum):
    """Origin of a placeholder's value: the first two are verified claims, the others are the client's own."""

    SUB = "sub"
    META = "meta"
    PATH = "path"
    QUERY = "query"
    HEADER = "header"


CLAIMS = frozenset({Source.SUB, Source.META})


class Placeholder(NamedTuple):
    """Placeholder of a template; `name` is "" for `sub`."""

    source: Source
    name: str = ""

    def __str__(self) -> str:
        """Return it as it is written in a template."""
        return f"{{{self.source}.{self.name}}}" if self.name else f"{{{self.source}}}"


class ChannelTemplate(NamedTuple):
    """Template of a channel's name: its `text`, and the constant parts and placeholders in their order."""

    text: str
    pieces: tuple[str | Placeholder, ...]

    @property
    def namespace(self) -> str | None:
        """Namespace of every channel of this template, None for channels without one."""
        return namespace_of("".join(piece if isinstance(piece, str) else "x" for piece in self.pieces))

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        """Placeholders in their order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Placeholder))

    @property
    def grants(self) -> bool:
        """True when the client has no influence on the channel, so that the template alone grants it."""
        return all(placeholder.source in CLAIMS for placeholder in self.placeholders)

    def check_request(self, request: RequestValues) -> None:
        """Check the values of the client. Raises PlaceholderError."""
        for placeholder in self.placeholders:
            if placeholder.source not in CLAIMS:
                checked_value(placeholder, _value_in_request(placeholder, request))

    def channel(self, claims: Claims, request: RequestValues) -> str:
        """Return the channel's name for a client. Raises PlaceholderError."""

        def value(placeholder: Placeholder) -> str:
            if placeholder.source in CLAIMS:
                return _value_in_claims(placeholder, claims)
            return _value_in_request(placeholder, request)

        return join_template(self.pieces, value)


def parse_template(text: str) -> ChannelTemplate:
    """Parse a template. Raises TemplateError."""
    return ChannelTemplate(text, split_template(text, lambda name: _placeholder(text, name)))


def _placeholder(text: str, name: str) -> Placeholder:
    if not _NAMES.fullmatch(name):
        raise TemplateError(
            f"{text}: {{{name}}} is no placeholder; use {{sub}}, {{meta.NAME}}, {{path.NAME}}, {{query.NAME}} or"
            " {header.NAME}, the name of a header in lower case"
        )
    source, _, rest = name.partition(".")
    if rest in SECRETS:
        raise TemplateError(f"{text}: {{{name}}} is a secret of the client, and channels are seen by others")
    return Placeholder(Source(source), rest)


def _value_in_request(placeholder: Placeholder, request: RequestValues) -> str:
    match placeholder.source:
        case Source.PATH:
            found = request.path.get(placeholder.name, ())
        case Source.QUERY:
            found = request.query.get(placeholder.name, ())
        case _:
            found = request.header(placeholder.name)
    if not found:
        raise PlaceholderError(f"{placeholder}: is missing")
    if len(found) > 1:
        raise PlaceholderError(f"{placeholder}: is given more than once")
    return found[0]


def _value_in_claims(placeholder: Placeholder, claims: Claims) -> str:
    if placeholder.source is Source.SUB:
        return claims.user
    try:
        meta = msgspec.json.decode(claims.meta or b"null")
    except msgspec.DecodeError:
        meta = None
    value = meta.get(placeholder.name) if isinstance(meta, dict) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise PlaceholderError(f"{placeholder}: is missing")
    return value
