"""Loading of the scripts, and their digests."""

from __future__ import annotations

import hashlib

import pytest

from realtime_server.backplane import redis_scripts
from realtime_server.backplane.redis_scripts import Script

ALL = [(name, value) for name, value in vars(redis_scripts).items() if isinstance(value, Script)]


@pytest.mark.parametrize(("name", "script"), ALL, ids=[name for name, _ in ALL])
def test_the_digest_is_that_of_the_text(name: str, script: Script) -> None:
    """The digest matches the text, so that calls need not send the text."""
    assert name.isupper()
    assert script.digest == hashlib.sha1(script.text.encode(), usedforsecurity=False).hexdigest()


def test_no_two_are_the_same() -> None:
    assert len({script.digest for _, script in ALL}) == len(ALL) > 7
