"""Arguments of the events that the server handles itself. What is wrong with them is said in the acknowledgement.

The functions raise CommandError BAD_REQUEST, whose `why` names the argument and what would be right, never its value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from realtime_server import codes
from realtime_server.core.model.errors import CommandError

Options = TypeVar("Options")
_strings: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)


class SubscribeOptions(Struct):
    """Second argument of the event `subscribe`: a subscription token, and data for the backend."""

    token: str = ""
    data: Raw = Raw()


_subscribe_options = msgspec.json.Decoder(SubscribeOptions)


def bad_request(why: str) -> CommandError:
    """Return the error of arguments."""
    return CommandError(codes.BAD_REQUEST, why)


def room_in(event: str, items: Sequence[Raw]) -> str:
    """Return the room, which is the first argument."""
    try:
        room = _strings.decode(items[1])
    except (IndexError, ValueError) as error:
        raise bad_request(f"the first argument of {event} must be the room, a string") from error
    if not room:
        raise bad_request(f"the room of {event} must not be empty")
    return room


def subscribe_options(items: Sequence[Raw]) -> SubscribeOptions:
    """Return the options of `subscribe`."""
    return _options_in("subscribe", items, _subscribe_options, "{token, data}") or SubscribeOptions()


def _options_in(
    event: str, items: Sequence[Raw], decoder: msgspec.json.Decoder[Options], fields: str
) -> Options | None:
    """Return the options, which are the second argument; None when they are absent or null."""
    if len(items) < 3 or bytes(items[2]) == b"null":
        return None
    try:
        return decoder.decode(items[2])
    except ValueError as error:
        raise bad_request(f"the second argument of {event} must be like {fields}: {error}") from error
