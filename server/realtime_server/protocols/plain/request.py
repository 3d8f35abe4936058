"""Request that opens a connection on a route: its values, its token, and the position to resume from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import parse_qs

from realtime_server.protocols.plain.resumption import (
    EPOCH,
    SINCE,
    Resumption,
    ResumptionError,
    read_event_id,
    read_since,
)
from realtime_server.protocols.plain.route_path import RoutePath
from realtime_server.protocols.plain.template import Header, Values

TOKEN_PARAMETER = "access_token"  # noqa: S105 - the name of a parameter (RFC 6750, section 2.3)
TOKEN_SUBPROTOCOL = "access_token"  # noqa: S105 - the name of a subprotocol
MAX_PARAMETERS = 64
_BEARER = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*) *", re.IGNORECASE)
"""Credentials of RFC 6750, section 2.1."""


class RequestError(Exception):
    """Request that cannot be understood; the text says what is wrong, without the client's input.

    `status` of HTTP answers it, and it is counted under `reason`.
    """

    status = 400
    reason = "malformed"


class PathError(RequestError):
    """Request for a path that a route does not have."""

    status = 404
    reason = "path"


class RouteRequest(NamedTuple):
    """Request of a client: implements RequestValues."""

    path: Values
    query: Values
    header: Header

    def token(self, cookie: str = "") -> str:
        """Return the client's token, "" for none: of the header, the subprotocol, the URL, or the `cookie` of a name.

        The first one that is there counts: what a program sets by hand is meant, a cookie is sent by itself.
        """
        for line in self.header("authorization"):
            if found := _BEARER.fullmatch(line.strip()):
                return found[1]
        offered = offered_subprotocols(self.header("sec-websocket-protocol"))
        if TOKEN_SUBPROTOCOL in offered[:-1]:
            return offered[offered.index(TOKEN_SUBPROTOCOL) + 1]
        if in_url := self.query.get(TOKEN_PARAMETER):
            return in_url[0]
        return _cookie(self.header("cookie"), cookie) if cookie else ""

    def resumption(self, *, events: bool) -> Resumption | None:
        """Return the positions that the client resumes from, None for none; `events`: of an event stream.

        Raises RequestError. A URL with a position is that of a first request of an EventSource: the header of a later
        one counts more.
        """
        lines = [line for line in self.header("last-event-id") if line] if events else []
        try:
            if lines:
                return read_event_id(lines[0])
            return read_since(self.query.get(SINCE, ()), self.query.get(EPOCH, ()))
        except ResumptionError as error:
            raise RequestError(str(error)) from error


def read_request(target: str, path: RoutePath, header: Header) -> RouteRequest:
    """Return the request of a route with this path for a target: a path with its query. Raises RequestError."""
    before, _, query = target.partition("?")
    try:
        in_path = path.values(before)
    except UnicodeDecodeError as error:
        raise RequestError("the path must be UTF-8") from error
    if in_path is None:
        raise PathError(f"there is nothing here; the path is {path}")
    try:
        values = parse_qs(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except UnicodeDecodeError as error:
        raise RequestError("the parameters of the URL must be UTF-8") from error
    except ValueError as error:
        raise RequestError(f"the URL has more than {MAX_PARAMETERS} parameters") from error
    return RouteRequest(in_path, values, header)


def offered_subprotocols(lines: Iterable[str]) -> list[str]:
    """Return the subprotocols that a client offers, in its order."""
    return [one for line in lines for part in line.split(",") if (one := part.strip())]


def chosen_subprotocol(known: Sequence[str], offered: Sequence[str]) -> str | None:
    """Return the subprotocol to answer with: the client's first that the route knows, or that before a token.

    A browser that has offered any gives up when none is chosen.
    """
    chosen = next((one for one in offered if one in known), None)
    if chosen is None and TOKEN_SUBPROTOCOL in offered[:-1]:
        return TOKEN_SUBPROTOCOL
    return chosen


def _cookie(lines: Iterable[str], name: str) -> str:
    """Return the value of a cookie (RFC 6265, section 5.4), whatever the others look like."""
    for line in lines:
        for pair in line.split(";"):
            its_name, equals, value = pair.strip().partition("=")
            if equals and its_name == name:
                return value.strip('"')
    return ""
