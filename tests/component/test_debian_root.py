"""Isolation and cleanup of a run in the root of another Debian; here the root is that of this machine."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.kit.debian_root import inside
from tests.kit.redis_process import wait_until


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return the folder where roots are mounted."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def test_a_run_has_its_own_everything(place: Path, tmp_path: Path) -> None:
    """Its writes are gone afterwards, mounted folders are visible, and its only network is a loopback."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("from outside")
    script = "cat /inside/file; touch /etc/written-by-a-test; ls /sys/class/net; echo $$; exit 7"
    ended = subprocess.run(
        inside(place, [Path("/")], script, {tmp_path / "outside": "/inside"}),
        capture_output=True,
        text=True,
        timeout=30,
    )
    text, network, pid = ended.stdout.removeprefix("from outside").rpartition("lo\n")
    assert (ended.returncode, text, network) == (7, "", "lo\n"), ended.stderr
    assert int(pid) < 100
    assert not Path("/etc/written-by-a-test").exists()
    assert not any(place.iterdir())


def test_nothing_is_left_of_one_that_is_killed(place: Path) -> None:
    """Processes and mounts end with the run, also when its starter is killed."""
    run = inside(place, [Path("/")], "echo runs; sleep 1000 & sleep 1000", {})
    with subprocess.Popen(["bash", "-c", '"$@" & wait', "starter", *run], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "runs\n"
        assert len(_of_the_run(place)) > 0
        starter.send_signal(signal.SIGKILL)
    wait_until(lambda: not _of_the_run(place), "all its processes have ended", within=10)
    assert str(place) not in Path("/proc/self/mountinfo").read_text()


def _of_the_run(place: Path) -> list[str]:
    """Return the processes that see the mounts of a run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f" {place} " in (process / "mountinfo").read_text():
                found.append(process.name)
        except OSError:  # it has ended meanwhile
            continue
    return found
