"""What the root of another Debian is made of."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.kit.cluster.layout import REPOSITORY
from tests.kit.cluster.process import ClusterError
from tests.kit.debian_root import PACKAGES, DebianRoot


def test_it_has_what_the_tests_need() -> None:
    """As hack/setup-system.sh installs it; npm is for what is in the checkout already."""
    script = (REPOSITORY / "hack" / "setup-system.sh").read_text()
    found = re.search(r"test\) wanted=\(([^)]*)\)", script)
    assert found is not None
    assert {pair.partition(":")[2] for pair in found[1].split()} - {"npm"} <= set(PACKAGES)


def test_what_has_changed_is_made_anew(tmp_path: Path) -> None:
    """Other packages are another system; another Python is another environment only."""
    root, other = DebianRoot(tmp_path), DebianRoot(tmp_path, packages=("redis-server",))
    assert root.system != other.system
    assert root.environment != other.environment
    newer = DebianRoot(tmp_path, python="3.13.9")
    assert (newer.system, newer.environment != root.environment) == (root.system, True)


def test_a_layer_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run makes what an interrupted one did not finish, and removes what is old."""
    root, printed = DebianRoot(tmp_path), list[str]()
    (tmp_path / "trixie-of-before").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(DebianRoot, "_bootstrap", lambda _, folder: (folder / "system").touch())
    monkeypatch.setattr(DebianRoot, "_install", _fail)
    with pytest.raises(ClusterError):
        root.prepare(printed.append)
    assert not root.environment.exists()
    monkeypatch.setattr(DebianRoot, "_install", lambda _, folder: (folder / "environment").touch())
    root.prepare(printed.append)
    root.prepare(printed.append)
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "place", root.system.name, root.environment.name}
    assert [path.name for path in (*root.system.iterdir(), *root.environment.iterdir())] == ["system", "environment"]
    assert len(printed) == 3


def _fail(_: DebianRoot, folder: Path) -> None:
    (folder / "half").touch()
    raise ClusterError("no network")


def test_only_root_can_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is told before anything is made."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match="by root only"):
        DebianRoot(tmp_path / "cache").prepare(print)
    assert not (tmp_path / "cache").exists()
