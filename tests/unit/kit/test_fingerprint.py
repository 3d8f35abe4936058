"""What stands for the content of files."""

from __future__ import annotations

from tests.kit.cluster.layout import REPOSITORY
from tests.kit.fingerprint import fingerprint


def test_a_fingerprint_follows_content() -> None:
    """What has changed is built again, what has not is not."""
    folder = REPOSITORY / "hack"
    assert fingerprint([folder], "a") == fingerprint([folder], "a")
    assert fingerprint([folder], "a") != fingerprint([folder], "b")
    assert fingerprint([folder]) != fingerprint([folder / "coredns"])
