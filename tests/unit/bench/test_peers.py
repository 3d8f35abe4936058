"""Which servers can be compared here."""

from __future__ import annotations

import json

import pytest
from bench import peers
from bench.build import BuildError

from realtime_server.settings import Settings


def test_the_floor_is_always_there() -> None:
    """It is what the others are compared with."""
    found = peers.prepare(lambda _: False)
    assert (list(found.found), list(found.versions), found.notices) == (
        [peers.FLOOR, peers.FLOOR_JOINED],
        [peers.FLOOR],
        (),
    )


def test_a_peer_that_cannot_be_had_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the others are measured without it."""

    def fail() -> tuple[list[peers.Peer], str]:
        raise BuildError("Go is not installed")

    monkeypatch.setitem(peers._MAKERS, peers.CENTRIFUGE, fail)
    found = peers.prepare(lambda name: name == peers.CENTRIFUGE)
    assert found.notices == ("Centrifuge is left out: Go is not installed",)
    assert peers.CENTRIFUGE not in found.found


def test_without_the_floor_there_is_nothing_to_compare_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends before it begins."""

    def fail() -> tuple[list[peers.Peer], str]:
        raise BuildError("a C compiler is not installed")

    monkeypatch.setitem(peers._MAKERS, peers.FLOOR, fail)
    with pytest.raises(BuildError):
        peers.prepare(lambda _: True)


def test_the_server_accepts_its_configuration() -> None:
    """A field that was renamed shows here and not after minutes."""
    Settings.model_validate_json(json.dumps(peers.CONFIGURATION))
    joined = peers.joined_configuration()
    Settings.model_validate_json(json.dumps(joined or {}))
    assert joined != peers.CONFIGURATION
    Settings.model_validate_json(json.dumps(peers.SOCKET_IO_CONFIGURATION))
    for envelope in ("json", "none"):
        Settings.model_validate_json(json.dumps(peers.plain_configuration(envelope)))
