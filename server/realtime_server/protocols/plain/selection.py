"""Selection of what a message does: by a text in it, to which a JSON pointer (RFC 6901) leads."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import msgspec
from jsonpointer import JsonPointer, JsonPointerException
from msgspec import Raw

from realtime_server.core.model.nesting import check_nesting

CONNECT, DEFAULT, DISCONNECT = "$connect", "$default", "$disconnect"
"""Keys of actions that no message selects, with the names that API gateways have for them."""
IDENT = "id"
MAX_IDENT_BYTES = 256
_encoder = msgspec.json.Encoder()
_fields: msgspec.json.Decoder[dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw])


class PointerError(ValueError):
    """Text that is no JSON pointer; it says why."""


class Selected(NamedTuple):
    """Result of a selection: the key, DEFAULT for none; the message's own id as raw JSON, None for none.

    `is_json`: the message is JSON; None where nothing of it was of interest, so that it was not read.
    """

    key: str = DEFAULT
    ident: bytes | None = None
    is_json: bool | None = False


NOT_JSON = Selected()
UNREAD = Selected(is_json=None)


class Selection:
    """Selection by a pointer. Raises PointerError on construction; "" selects nothing. `idents`: ids are read."""

    def __init__(self, pointer: str = "", *, idents: bool = False) -> None:
        self.pointer = pointer
        self._reads = bool(pointer) or idents
        try:
            self._pointer = JsonPointer(pointer) if pointer else None
        except JsonPointerException as error:
            raise PointerError(
                f"{pointer}: is no JSON pointer (RFC 6901), which begins with a slash: {error}"
            ) from error
        parts = [] if self._pointer is None else self._pointer.parts
        self._name = parts[0] if len(parts) == 1 else None
        """Name of the field of a pointer to a field of the message itself, the common case."""

    def select(self, message: bytes) -> Selected:
        """Return what a message selects. Never raises: whatever is no JSON is for the default action."""
        if not self._reads:
            return UNREAD
        try:
            message.decode()  # the JSON decoder does not validate the strings of raw data
            check_nesting(message)
            if self._pointer is None or self._name is not None:
                return self._select_field(_fields.decode(message))
            return self._select_deep(msgspec.json.decode(message))
        except msgspec.ValidationError:
            return self._select_deep(msgspec.json.decode(message))  # JSON, but no object
        except (ValueError, RecursionError):
            return NOT_JSON

    def _select_field(self, fields: dict[str, Raw]) -> Selected:
        """Return what is selected by a field of the message itself."""
        found = None if self._name is None else fields.get(self._name)
        key = DEFAULT if found is None else _key(msgspec.json.decode(found))
        ident = fields.get(IDENT)
        return Selected(key, None if ident is None else _ident(msgspec.json.decode(ident)), is_json=True)

    def _select_deep(self, document: object) -> Selected:
        """Return what is selected by a value anywhere in the message."""
        key = DEFAULT
        if self._pointer is not None:
            with contextlib.suppress(JsonPointerException):
                key = _key(self._pointer.resolve(document))
        return Selected(key, _ident(document.get(IDENT) if isinstance(document, dict) else None), is_json=True)


def _key(found: object) -> str:
    return found if isinstance(found, str) and not found.startswith("$") else DEFAULT


def _ident(ident: object) -> bytes | None:
    """Return the id of a message, a text or an integer, as raw JSON."""
    if not isinstance(ident, str | int) or isinstance(ident, bool):
        return None
    encoded = _encoder.encode(ident)
    return encoded if len(encoded) <= MAX_IDENT_BYTES else None
