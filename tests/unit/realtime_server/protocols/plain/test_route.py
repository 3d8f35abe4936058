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
        (["chat:{query.id}"], "chat:{query.id}"),
        (["open:a", "chat:a", "#{sub}"], "chat:a"),
        (["chat:a", "chat:b"], None),
        (["open:a"], None),
        (["$chat:a"], "$chat:a"),
        ([], None),
    ],
)
def test_a_position_is_of_the_one_channel_with_recovery(channels: list[str], expected: str | None) -> None:
    route = Route("x", subscribe=tuple(map(parse_template, channels)))
    found = route.recoverable(NAMESPACES)
    assert (None if found is None else found.text) == expected
