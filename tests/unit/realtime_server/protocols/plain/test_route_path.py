"""Tests of the paths of routes, and of the values in the paths of requests."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.protocols.plain.request import PathError, RequestError, read_request
from realtime_server.protocols.plain.route_path import RoutePath, RoutePathError, parse_path

ROOMS = parse_path("rooms", "/{room}")
MEMBERS = parse_path("rooms", "/{room}/members/{user}")


def test_a_path_is_shown_as_it_was_written() -> None:
    """And the port for clients knows what is before its placeholders."""
    assert (str(ROOMS), ROOMS.pattern, ROOMS.placeholders) == ("/ws/rooms/{room}", "/ws/rooms/*", ("room",))
    assert str(MEMBERS) == "/ws/rooms/{room}/members/{user}"
    assert parse_path("rooms", "") == RoutePath("rooms")
    assert (str(RoutePath("rooms")), RoutePath("rooms").pattern) == ("/ws/rooms", "/ws/rooms")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{room}", "no path below a route"),
        ("/", "no path below a route"),
        ("/{room}/", "no path below a route"),
        ("/{room", "no path below a route"),
        ("/{a.b}", "no path below a route"),
        ("/a{room}", "no path below a route"),
        ("/Rooms", "no path below a route"),
        ("/*", "no path below a route"),
        ("/a" * 9, "no path below a route"),
        ("/{a}/{a}", "has a placeholder twice"),
    ],
)
def test_a_path_that_no_route_can_have_is_refused(text: str, why: str) -> None:
    with pytest.raises(RoutePathError, match=why):
        parse_path("rooms", text)


@pytest.mark.parametrize(
    ("target", "values"),
    [
        ("/ws/rooms/lobby/members/ann", {"room": ("lobby",), "user": ("ann",)}),
        ("/ws/rooms/a%20b/members/%C3%B6?x=1", {"room": ("a b",), "user": ("ö",)}),
        ("/ws/rooms//members/a%2Fb", {"room": ("",), "user": ("a/b",)}),
    ],
)
def test_values_are_decoded(target: str, values: dict[str, tuple[str]]) -> None:
    assert read_request(target, MEMBERS, lambda _name: []).path == values


@pytest.mark.parametrize(
    "target",
    [
        "/ws/rooms", "/ws/rooms/lobby", "/ws/rooms/lobby/members", "/ws/rooms/lobby/members/ann/", "/ws/rooms/a/b/c",
        "/ws/roomsa/b/members/c", "/ws/rooms/a/%6Dembers/c", "/ws%2Frooms/a/members/b", "/ws/rooms/" + "a/" * 1000,
    ],
)  # fmt: skip
def test_another_path_is_not_found(target: str) -> None:
    """The answer names the path of the route, and nothing of the client's."""
    with pytest.raises(PathError, match=r"the path is /ws/rooms/\{room\}/members/\{user\}$"):
        read_request(target, MEMBERS, lambda _name: [])


def test_a_path_that_is_no_utf_8_is_refused() -> None:
    with pytest.raises(RequestError, match="must be UTF-8"):
        read_request("/ws/rooms/%ff", ROOMS, lambda _name: [])


@given(st.text())
def test_whatever_a_segment_has_comes_back(value: str) -> None:
    """Any text can be written into a path, and read again."""
    encoded = quote(value.encode("utf-8", "replace"), safe="")
    found = read_request(f"/ws/rooms/{encoded}", ROOMS, lambda _name: []).path
    assert found == {"room": (value.encode("utf-8", "replace").decode(),)}
