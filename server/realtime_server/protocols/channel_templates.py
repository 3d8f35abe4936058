"""Templates of channel names, like `orders:{query.id}`: what those of routes and of queues have in common.

Values never change the structure of a name: the namespace is constant, and a value has none of the characters that mean
something in a channel's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from realtime_server.core.model.namespaces import MAX_CHANNEL_BYTES

MAX_VALUE_BYTES = 128
MAX_PLACEHOLDERS = 8
_PIECES = re.compile(r"\{([^{}]*)\}|([^{}]+)|(.)", re.DOTALL)
_CONSTANT = re.compile(r"[^\s{}]+")
_STRUCTURE = ":#,$*?{}"
"""Characters that mean something in a channel's name, in a pattern of channels, or in a template."""

Placeholder = TypeVar("Placeholder")


class TemplateError(ValueError):
    """Template that cannot be used; the text says why, and what would be right."""


class PlaceholderError(Exception):
    """Value that cannot be part of a channel's name; the text names the placeholder, never the value."""


def split_template(text: str, parse: Callable[[str], Placeholder]) -> tuple[str | Placeholder, ...]:
    """Split a template into constants and placeholders, in their order. Raises TemplateError, as `parse` may.

    `parse` gets what stands in the braces of a placeholder.
    """
    pieces: list[str | Placeholder] = []
    for name, constant, brace in _PIECES.findall(text):
        if brace:
            raise TemplateError(f"{text}: a brace is not closed; a placeholder is like {{name}}")
        pieces.append(_constant(text, constant) if constant else parse(name))
    constants = [piece for piece in pieces if isinstance(piece, str)]
    if not pieces:
        raise TemplateError("a channel has a name; it must not be empty")
    if len(pieces) - len(constants) > MAX_PLACEHOLDERS:
        raise TemplateError(f"{text}: has more than {MAX_PLACEHOLDERS} placeholders")
    if len("".join(constants).encode()) > MAX_CHANNEL_BYTES:
        raise TemplateError(f"{text}: is longer than a channel's name may be, {MAX_CHANNEL_BYTES} bytes")
    _require_constant_namespace(text, pieces)
    return tuple(pieces)


def join_template(pieces: Sequence[str | Placeholder], value: Callable[[Placeholder], str]) -> str:
    """Return the channel's name with the values of the placeholders. Raises PlaceholderError, as `value` may."""
    name = "".join(piece if isinstance(piece, str) else checked_value(piece, value(piece)) for piece in pieces)
    if len(name.encode()) > MAX_CHANNEL_BYTES:
        last = next(piece for piece in reversed(pieces) if not isinstance(piece, str))
        raise PlaceholderError(f"{last}: makes a channel of more than {MAX_CHANNEL_BYTES} bytes")
    return name


def checked_value(placeholder: object, value: str) -> str:
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


def _constant(text: str, constant: str) -> str:
    if not _CONSTANT.fullmatch(constant) or not constant.isprintable():
        raise TemplateError(f"{text}: must not have white space or control characters")
    return constant


def _require_constant_namespace(text: str, pieces: Sequence[object]) -> None:
    """Raise TemplateError when a value stands before the first colon, and would be the namespace or a part of it."""
    before = pieces[0] if isinstance(pieces[0], str) else ""
    if ":" not in before and any(isinstance(piece, str) and ":" in piece for piece in pieces):
        raise TemplateError(f"{text}: a placeholder must not be in the namespace; begin with it, like orders:{{name}}")
