"""Tests of routes: which channel a position is of."""

from __future__ import annotations

import pytest

from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.values import HistoryOptions
from realtime_server.protocols.plain.route import Route
from realtime_server.protocols.plain.template import parse_template

NAMESPACES = Namespaces(
    [("chat", ChannelOptions(history=HistoryOptions(10, 60.0), recovery=True)), ("open", ChannelOptions())]
)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (["chat:{query.id}"], ["chat:{query.id}"]),
        (["open:a", "chat:a", "#{sub}"], ["chat:a"]),
        (["chat:a", "chat:b"], ["chat:a", "chat:b"]),
        (["open:a"], []),
        (["$chat:a"], ["$chat:a"]),
        ([], []),
    ],
)
def test_positions_are_of_the_channels_with_recovery(channels: list[str], expected: list[str]) -> None:
    route = Route("x", subscribe=tuple(map(parse_template, channels)))
    assert [found.text for found in route.recoverable(NAMESPACES)] == expected
