"""Settings of the client protocols."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from realtime_server.protocol_settings import Protocols


def test_centrifugos_protocol_is_on_unless_it_is_turned_off() -> None:
    """A configuration of an earlier server means what it meant."""
    assert Protocols().centrifuge.enabled


def test_a_server_without_a_protocol_is_refused() -> None:
    """It would wait for clients that cannot come; the message says what would be right."""
    with pytest.raises(ValidationError, match="enable at least one of centrifuge"):
        Protocols.model_validate({"centrifuge": {"enabled": False}})


def test_socket_io_is_off_unless_it_is_turned_on() -> None:
    """Then there is one namespace, whose rooms are channels."""
    settings = Protocols.model_validate({"centrifuge": {"enabled": False}, "socket_io": {"enabled": True}}).socket_io
    assert not Protocols().socket_io.enabled
    assert settings.path == "/socket.io/"
    assert [(each.name, each.channel_namespace) for each in settings.served] == [("/", None)]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"path": "/socket.io"}, "should match pattern"),
        ({"path": "/connection/websocket/"}, "paths of the server begin with"),
        ({"namespaces": [{"name": "/a"}, {"name": "/a"}]}, "/a is defined twice"),
        ({"namespaces": [{"name": "a"}]}, "should match pattern"),
        ({"namespaces": [{"name": "/a,b"}]}, "should match pattern"),
        (
            {"namespaces": [{"name": "/", "client_events": ["greet"]}]},
            "'subscribe', 'publish', 'history' or 'presence'",
        ),
    ],
)
def test_settings_of_socket_io_that_cannot_work_are_refused(settings: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Protocols.model_validate({"socket_io": settings})
