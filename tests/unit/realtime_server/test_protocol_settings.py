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
