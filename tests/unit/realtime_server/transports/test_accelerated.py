"""Presence of the C extension, without which the tests would compare the Python twin with itself."""

from __future__ import annotations

import subprocess
import sys

from realtime_server.transports import accelerated, frames, outbox

WITHOUT = """
import sys
sys.modules["realtime_server._native"] = None
from realtime_server.transports import accelerated, frames, outbox
assert not accelerated.ACCELERATED
assert (accelerated.Flusher, accelerated.Outbox, accelerated.split) == (outbox.Flusher, outbox.Outbox, frames.split)
"""


def test_it_was_compiled() -> None:
    """`make setup` installs a compiler and builds the extension."""
    assert accelerated.ACCELERATED
    assert accelerated.Outbox is not outbox.Outbox
    assert accelerated.split is not frames.split


def test_without_it_the_twins_are_used() -> None:
    """A wheel that was built without a compiler uses the Python twins."""
    subprocess.run([sys.executable, "-P", "-c", WITHOUT], check=True, timeout=30)
