"""Arguments of the events that the server handles itself. What is wrong with them is said in the acknowledgement.

The functions raise CommandError BAD_REQUEST, whose `why` names the argument and what would be right, never its value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from realtime_server import codes
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.values import HistoryQuery, SequencePosition, StreamPosition
from realtime_server.protocols.socket_io.positions import decode_position

MAX_OFFSET = 2**53 - 1
"""Largest number that is exact in JavaScript."""
DEFAULT_LIMIT = 100
"""Number of publications of `history` when the client says none."""
MAX_LIMIT = 10_000
Options = TypeVar("Options")
_strings: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)


class Since(Struct):
    """Position in a room, as an acknowledgement has it; `position`: last argument of the last event, if it has one."""

    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET)]
    epoch: Annotated[str, Meta(min_length=1, max_length=128)]
    position: str | None = None

    @property
    def stream(self) -> StreamPosition:
        """Position in the stream of the room."""
        return StreamPosition(self.offset, self.epoch)


class SubscribeOptions(Struct):
    """Second argument of the event `subscribe`: a subscription token, and data for the backend.

    `since`: the client has been in the room before, and asks for what it has missed since then.
    """

    token: str = ""
    data: Raw = Raw()
    since: Since | None = None


class HistoryOptions(Struct):
    """Second argument of the event `history`, see HistoryQuery."""

    since: Since | None = None
    limit: Annotated[int, Meta(ge=0, le=MAX_LIMIT)] = DEFAULT_LIMIT
    reverse: bool = False

    @property
    def query(self) -> HistoryQuery:
        """Query in core's form."""
        return HistoryQuery(self.limit, None if self.since is None else self.since.stream, self.reverse)


_subscribe_options = msgspec.json.Decoder(SubscribeOptions)
_history_options = msgspec.json.Decoder(HistoryOptions)


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
    return (
        _options_in("subscribe", items, _subscribe_options, "{token, data, since: {offset, epoch}}")
        or SubscribeOptions()
    )


def history_options(items: Sequence[Raw]) -> HistoryOptions:
    """Return the options of `history`."""
    return _options_in("history", items, _history_options, "{since: {offset, epoch}, limit, reverse}") or (
        HistoryOptions()
    )


def sequence_in(since: Since) -> SequencePosition | None:
    """Return the position in the order of the namespace, None where the client has got no event with one."""
    if since.position is None:
        return None
    found = decode_position(since.position)
    if found is None:
        raise bad_request("since.position must be the last argument of an event, or null")
    return found


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
