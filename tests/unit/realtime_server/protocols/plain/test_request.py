"""Tests of requests that open connections on routes."""

from __future__ import annotations

import pytest

from realtime_server.core.model.values import StreamPosition
from realtime_server.protocols.plain.request import (
    RequestError,
    RouteRequest,
    chosen_subprotocol,
    read_request,
)
from realtime_server.protocols.plain.resumption import Resumption
from realtime_server.protocols.plain.route_path import RoutePath


def request(path: str = "/ws/orders", **headers: str) -> RouteRequest:
    """Return a request; names of headers have underscores."""
    lines = {name.replace("_", "-"): [value] for name, value in headers.items()}
    return read_request(path, RoutePath("orders"), lambda name: lines.get(name, []))


@pytest.mark.parametrize(
    ("path", "headers", "token"),
    [
        ("/ws/a", {}, ""),
        ("/ws/a?access_token=q.t", {}, "q.t"),
        ("/ws/a", {"authorization": "Bearer h.t"}, "h.t"),
        ("/ws/a", {"authorization": "bearer  h.t "}, "h.t"),
        ("/ws/a", {"authorization": "Basic aDp0"}, ""),
        ("/ws/a", {"sec_websocket_protocol": "orders, access_token, s.t"}, "s.t"),
        ("/ws/a", {"sec_websocket_protocol": "orders, access_token"}, ""),
        ("/ws/a", {"cookie": "a=b; session=c.t; d"}, "c.t"),
        ("/ws/a", {"cookie": 'broken[]=x; session="c.t"'}, "c.t"),
        ("/ws/a", {"cookie": "other=c.t"}, ""),
    ],
)
def test_a_token_is_found_wherever_a_client_can_put_it(path: str, headers: dict[str, str], token: str) -> None:
    assert request(path, **headers).token("session") == token


def test_a_token_that_is_set_by_hand_counts_more_than_a_cookie() -> None:
    """The order is: header, subprotocol, URL, cookie."""
    everything = {
        "authorization": "Bearer h",
        "sec_websocket_protocol": "access_token, s",
        "cookie": "session=c",
    }
    found = []
    path = "/ws/a?access_token=q"
    for name in ("authorization", "sec_websocket_protocol", None, "cookie"):
        found.append(request(path, **everything).token("session"))
        if name is None:
            path = "/ws/a"
        else:
            everything.pop(name)
    assert found == ["h", "s", "q", "c"]
    assert request(cookie="session=c").token() == "", "a cookie counts only where the route names it"


def test_the_last_event_counts_more_than_the_url() -> None:
    """An EventSource reconnects to the URL that it began with; a WebSocket has no event."""
    path = "/ws/a?since=5&epoch=x"
    url, event = Resumption(StreamPosition(5, "x")), Resumption(StreamPosition(9, "y"), is_event=True)
    assert request(path).resumption(events=True) == request(path).resumption(events=False) == url
    assert request(path, last_event_id="9:y").resumption(events=True) == event
    assert request(path, last_event_id="9:y").resumption(events=False) == url
    assert request().resumption(events=True) is None
    with pytest.raises(RequestError, match="Last-Event-ID"):
        request(last_event_id="9").resumption(events=True)
    with pytest.raises(RequestError, match="needs epoch"):
        request("/ws/a?since=5").resumption(events=False)


def test_a_url_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(RequestError, match="UTF-8"):
        request("/ws/a?id=%ff")
    with pytest.raises(RequestError, match="more than"):
        request("/ws/a?" + "&".join(f"a{number}=1" for number in range(65)))


@pytest.mark.parametrize(
    ("known", "offered", "chosen"),
    [
        ((), [], None),
        (("a",), [], None),
        (("a", "b"), ["b", "a"], "b"),
        (("a",), ["x"], None),
        ((), ["access_token", "t"], "access_token"),
        (("a",), ["a", "access_token", "t"], "a"),
        (("a",), ["x", "access_token", "t"], "access_token"),
        ((), ["access_token"], None),
    ],
)
def test_a_browser_gets_one_of_its_subprotocols(known: tuple[str, ...], offered: list[str], chosen: str | None) -> None:
    assert chosen_subprotocol(known, offered) == chosen
