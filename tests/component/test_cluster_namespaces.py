"""Namespaces of the test cluster, without a cluster in them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.cluster import images
from tests.kit.cluster.fixed_paths import FIXED_PATHS
from tests.kit.cluster.layout import Layout
from tests.kit.cluster.lifecycle import leftovers
from tests.kit.cluster.network import open_namespaces, remove_network
from tests.kit.cluster.process import inside, run, stop

# The process that holds them outlives whoever has started it.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


@pytest.fixture
def layout() -> Iterator[Layout]:
    """Create namespaces for this test."""
    layout = Layout(name="realtime-namespaces-test", number=9)
    layout.state.mkdir(parents=True, exist_ok=True)
    try:
        open_namespaces(layout)
        yield layout
    finally:
        stop(layout, ("holder",))
        remove_network(layout)
        shutil.rmtree(layout.state)


@pytest.mark.parametrize("path", FIXED_PATHS, ids=str)
def test_what_is_written_to_a_fixed_path_stays_inside(layout: Layout, path: Path) -> None:
    """Files written to fixed paths disappear with the namespace."""
    run(*inside(layout, "sh", "-c", f"mkdir {path}/of-the-test && echo text > {path}/of-the-test/file"))
    assert run(*inside(layout, "cat", f"{path}/of-the-test/file")) == "text\n"
    assert not (path / "of-the-test").exists()


def test_mounts_of_a_build_that_runs_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All clusters build in one store: what is mounted there is nobody's leftover before the last build has ended."""
    monkeypatch.setenv("REALTIME_OPERATOR_CACHE", str(tmp_path))
    layout, point = Layout(name="realtime-store-test"), tmp_path / "images" / "buildah" / "overlay" / "1" / "merged"
    point.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "tmpfs", point)
    try:
        building = ["flock", "--shared", str(images.store_lock(layout)), "sh", "-c", "echo; read _"]
        with subprocess.Popen(building, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as build:
            assert build.stdout is not None
            build.stdout.readline()
            images.release_store(layout)
            assert leftovers(layout) == []
            assert point.is_mount()
        assert leftovers(layout) == [f"mount {point}"]
        images.release_store(layout)
        assert (leftovers(layout), point.is_mount()) == ([], False)
    finally:
        subprocess.run(["umount", "-l", str(point)], check=False, capture_output=True)
