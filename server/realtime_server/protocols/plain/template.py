"""Templates of channel names: `orders:{query.id}`, `#{sub}`. Parsed when the settings are loaded.

Values never change the structure of a name: the namespace is constant, and a value has none of the characters that mean
something in a channel's name. A template without values of the client is as good as a constant: it grants what it
names. One with such a value only asks for the channel, under the rules of its namespace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

from realtime_server.core.auth.claims import Claims
from realtime_server.core.model.namespaces import MAX_CHANNEL_BYTES, namespace_of

MAX_VALUE_BYTES = 128
MAX_PLACEHOLDERS = 8
_PIECES = re.compile(r"\{([^{}]*)\}|([^{}]+)|(.)", re.DOTALL)
_NAMES = re.compile(r"sub|(?:meta|path)\.[A-Za-z0-9_-]{1,64}|query\.[A-Za-z0-9_.-]{1,64}|header\.[a-z0-9-]{1,64}")
_CONSTANT = re.compile(r"[^\s{}]+")
SECRETS = frozenset({"access_token", "authorization", "cookie", "proxy-authorization", "sec-websocket-protocol"})
"""Names of parameters and headers with credentials."""
_STRUCTURE = ":#,$*?{}"
"""Characters that mean something in a channel's name, in a pattern of channels, or in a template."""

Values: TypeAlias = Mapping[str, Sequence[str]]
Header: TypeAlias = Callable[[str], Sequence[str]]


class TemplateError(ValueError):
    """Template that cannot be used; the text says why, and what would be right."""


class PlaceholderError(Exception):
    """Value that cannot be part of a channel's name; the text names the placeholder, never the value."""


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
                _value_in_request(placeholder, request)

    def channel(self, claims: Claims, request: RequestValues) -> str:
        """Return the channel's name for a client. Raises PlaceholderError."""
        name = "".join(
            piece
            if isinstance(piece, str)
            else _value_in_claims(piece, claims)
            if piece.source in CLAIMS
            else _value_in_request(piece, request)
            for piece in self.pieces
        )
        if len(name.encode()) > MAX_CHANNEL_BYTES:
            raise PlaceholderError(f"{self.placeholders[-1]}: makes a channel of more than {MAX_CHANNEL_BYTES} bytes")
        return name


def parse_template(text: str) -> ChannelTemplate:
    """Parse a template. Raises TemplateError."""
    pieces: list[str | Placeholder] = []
    for name, constant, brace in _PIECES.findall(text):
        if brace:
            raise TemplateError(f"{text}: a brace is not closed; a placeholder is like {{query.id}}")
        pieces.append(_constant(text, constant) if constant else _placeholder(text, name))
    template = ChannelTemplate(text, tuple(pieces))
    if not pieces:
        raise TemplateError("a channel has a name; it must not be empty")
    if len(template.placeholders) > MAX_PLACEHOLDERS:
        raise TemplateError(f"{text}: has more than {MAX_PLACEHOLDERS} placeholders")
    if len("".join(piece for piece in pieces if isinstance(piece, str)).encode()) > MAX_CHANNEL_BYTES:
        raise TemplateError(f"{text}: is longer than a channel's name may be, {MAX_CHANNEL_BYTES} bytes")
    _require_constant_namespace(template)
    return template


def _constant(text: str, constant: str) -> str:
    if not _CONSTANT.fullmatch(constant) or not constant.isprintable():
        raise TemplateError(f"{text}: must not have white space or control characters")
    return constant


def _placeholder(text: str, name: str) -> Placeholder:
    if not _NAMES.fullmatch(name):
        raise TemplateError(
            f"{text}: {{{name}}} is no placeholder; use {{sub}}, {{meta.NAME}}, {{path.NAME}}, {{query.NAME}} or"
            " {{header.NAME}}, the name of a header in lower case"
        )
    source, _, rest = name.partition(".")
    if rest in SECRETS:
        raise TemplateError(f"{text}: {{{name}}} is a secret of the client, and channels are seen by others")
    return Placeholder(Source(source), rest)


def _require_constant_namespace(template: ChannelTemplate) -> None:
    """Raise TemplateError when a value stands before the first colon, and would be the namespace or a part of it."""
    first = template.pieces[0]
    before = first if isinstance(first, str) else ""
    if ":" not in before and any(isinstance(piece, str) and ":" in piece for piece in template.pieces):
        raise TemplateError(
            f"{template.text}: a placeholder must not be in the namespace; begin with it, like orders:{{query.id}}"
        )


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
    return _checked(placeholder, found[0])


def _value_in_claims(placeholder: Placeholder, claims: Claims) -> str:
    if placeholder.source is Source.SUB:
        return _checked(placeholder, claims.user)
    try:
        meta = msgspec.json.decode(claims.meta or b"null")
    except msgspec.DecodeError:
        meta = None
    value = meta.get(placeholder.name) if isinstance(meta, dict) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise PlaceholderError(f"{placeholder}: is missing")
    return _checked(placeholder, value)


def _checked(placeholder: Placeholder, value: str) -> str:
    """Return a value that may be part of a channel's name. Raises PlaceholderError."""
    if not value:
        raise PlaceholderError(f"{placeholder}: is empty")
    if len(value) > MAX_VALUE_BYTES or len(value.encode(errors="replace")) > MAX_VALUE_BYTES:
        raise PlaceholderError(f"{placeholder}: is longer than {MAX_VALUE_BYTES} bytes")
    if not value.isprintable() or " " in value or any(character in value for character in _STRUCTURE):
        raise PlaceholderError(
            f"{placeholder}: has a character that is not allowed, one of {_STRUCTURE} or white space"
        )
    return value
