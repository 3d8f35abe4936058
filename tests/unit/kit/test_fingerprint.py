"""What stands for the content of files."""

from __future__ import annotations

from pathlib import Path

from tests.kit.cluster.layout import REPOSITORY
from tests.kit.fingerprint import fingerprint


def test_a_fingerprint_follows_content() -> None:
    """What has changed is built again, what has not is not."""
    folder = REPOSITORY / "hack"
    assert fingerprint([folder], "a") == fingerprint([folder], "a")
    assert fingerprint([folder], "a") != fingerprint([folder], "b")
    assert fingerprint([folder]) != fingerprint([folder / "coredns"])


def test_a_fingerprint_does_not_depend_on_where_another_checkout_is(tmp_path: Path) -> None:
    """It is unpacked anywhere."""
    for place in ("one", "other"):
        (tmp_path / place / "server").mkdir(parents=True)
        (tmp_path / place / "server" / "file").write_text("content")
    assert fingerprint([tmp_path / "one" / "server"]) == fingerprint([tmp_path / "other" / "server"])
