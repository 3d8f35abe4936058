"""The parts of the test cluster that decide something."""

from __future__ import annotations

import re
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.kit.cluster.environment import Environment, EnvironmentMissingError
from tests.kit.cluster.fixed_paths import written_outside
from tests.kit.cluster.layout import Layout, cache_folder
from tests.kit.cluster.lifecycle import leftovers
from tests.kit.cluster.programs import API_SERVER_PROGRAMS, build_missing, is_new_enough, programs
from tests.kit.monitoring import programs as monitoring_programs


def test_clusters_of_different_numbers_share_no_address() -> None:
    """So that several can run side by side."""
    ranges = [
        ip_network(text)
        for number in range(10)
        for layout in [Layout(name=f"c{number}", number=number)]
        for text in (f"{layout.node_address}/32", layout.pod_range, layout.service_range)
    ]
    assert not any(a.overlaps(b) for i, a in enumerate(ranges) for b in ranges[:i])


def test_the_service_of_the_api_server_has_the_first_address_of_its_range() -> None:
    """As the API server gives it to itself; its certificate names it."""
    layout = Layout()
    assert ip_address(layout.kubernetes_service) == next(ip_network(layout.service_range).hosts())


def test_clusters_of_different_names_share_no_state() -> None:
    """But the programs and images that were built."""
    one, two = Layout(name="one"), Layout(name="two")
    assert one.cache == two.cache
    assert {one.state, one.disk, one.kubeconfig}.isdisjoint({two.state, two.disk, two.kubeconfig})


def test_the_cache_can_be_put_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """REALTIME_OPERATOR_CACHE names the folder."""
    monkeypatch.setenv("REALTIME_OPERATOR_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("go version go1.19.8 linux/amd64", False),
        ("go version go1.26.0 linux/amd64", True),
        ("go version go1.30rc1 linux/arm64", True),
        ("go version devel", False),
    ],
)
def test_an_old_go_is_not_used(version: str, enough: bool) -> None:
    """Debian 12 has 1.19, which cannot read the modules."""
    assert is_new_enough(version) is enough


def test_a_version_of_kubernetes_has_a_cluster_of_its_own() -> None:
    """Both can be up at once; a name that is given is taken."""
    oldest, newest = Layout.from_environ({}), Layout.from_environ({"KUBERNETES": "1.37"})
    assert oldest == Layout.from_environ({"KUBERNETES": "1.34"}) == Layout()
    assert {oldest.state, oldest.disk, oldest.programs}.isdisjoint({newest.state, newest.disk, newest.programs})
    assert oldest.node_address != newest.node_address
    assert Layout.from_environ({"KUBERNETES": "1.37", "E2E_CLUSTER": "mine"}).name == "mine"


def test_an_unknown_version_of_kubernetes_is_refused() -> None:
    """With the versions that there are."""
    with pytest.raises(ValueError, match=re.escape("KUBERNETES=1.36: there are 1.34, 1.37")):
        Layout.from_environ({"KUBERNETES": "1.36"})


@pytest.mark.parametrize(("kubernetes", "count"), [("1.34", 12), ("1.37", 14)])
def test_every_program_has_a_module_that_pins_it(kubernetes: str, count: int) -> None:
    """And its own place in the cache, with the version in its path."""
    layout = Layout(kubernetes=kubernetes)
    found = (*programs(layout), *monitoring_programs.programs(layout))
    for program in found:
        pinned = (program.module / "go.mod").read_text()
        assert f" {program.target.parent.name.rpartition('-')[2]}\n" in pinned
    assert all((program.module / "go.sum").is_file() for program in found)
    assert len({program.target for program in found}) == len(found) == count


def test_an_api_server_alone_needs_no_other_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a new machine minutes are saved: what is there already is not built, and nothing else is wanted."""
    monkeypatch.setenv("REALTIME_OPERATOR_CACHE", str(tmp_path))
    printed: list[str] = []
    for name in API_SERVER_PROGRAMS:
        Layout().programs.mkdir(parents=True, exist_ok=True)
        (Layout().programs / name).touch()
    build_missing(Layout(), printed.append, API_SERVER_PROGRAMS)
    assert printed == []
    assert {program.target.name for program in programs(Layout())} > API_SERVER_PROGRAMS


def test_a_cluster_that_never_was_leaves_nothing() -> None:
    """The check looks at processes, mounts, namespaces and cgroups."""
    assert leftovers(Layout(name="never-was")) == []


def test_what_is_left_is_found() -> None:
    """A process with the cluster's folder on its command line is told with its id."""
    layout = Layout(name="left-behind")
    command = [sys.executable, "-c", "input(1)", str(layout.state)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.read(1)  # it runs
        assert any(line.startswith(f"process {process.pid}: ") for line in leftovers(layout))


@pytest.mark.parametrize(("argument", "is_ours"), [
    ("/run/ours/pki/admin.kubeconfig", True),
    ("unix:///run/ours", True),
    ("/run/ours-buildah", True),
    (str(Layout(name="ours").disk / "etcd"), True),
    ("/run/ours-too/containerd.sock", False),
    ("/run/ours.too", False),
    ("/run/others-buildah", False),
    (str(cache_folder() / "images" / "buildah"), False),
])  # fmt: skip
def test_other_clusters_and_their_builds_are_not_left_behind(argument: str, is_ours: bool) -> None:
    """Not those whose name begins alike, and no build of theirs, which uses the same store."""
    command = [sys.executable, "-c", "input(1)", argument]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.read(1)  # it runs
        found = any(line.startswith(f"process {process.pid}: ") for line in leftovers(Layout(name="ours")))
        assert found is is_ours


def test_files_in_shared_places_are_found_by_what_they_belong_to(tmp_path: Path) -> None:
    """Links to the cluster's logs, and CNI's notes of its containers; not those of others."""
    layout, logs, cache = Layout(name="ours"), tmp_path / "containers", tmp_path / "results"
    logs.mkdir()
    cache.mkdir()
    (logs / "ours.log").symlink_to(layout.disk / "kubelet" / "pod-logs" / "pod" / "0.log")
    (logs / "theirs.log").symlink_to("/var/log/pods/pod/0.log")
    (logs / "also-theirs.log").symlink_to(Layout(name="ours-too").disk / "kubelet" / "0.log")
    (logs / "no-link.log").write_text("")
    for name in ("ours-a1-eth0", "cni-loopback-a1-lo", "theirs-b2-eth0", "cni-loopback-b2-lo"):
        (cache / name).write_text("{}")
    expected = [logs / "ours.log", cache / "ours-a1-eth0", cache / "cni-loopback-a1-lo"]
    assert written_outside(layout, logs, cache) == expected
    assert written_outside(layout, tmp_path / "no", tmp_path / "no") == []


def test_the_environment_survives_the_way_to_the_tests() -> None:
    """What `make e2e` sets is what the scenarios read."""
    environment = Environment(
        Path("/k"), Path("/h"), Path("/c"), "o:1", "s:1", "r:1", "x:1", "eo:1", "es:1", audit_log=Path("/a")
    )
    assert Environment.from_environ(environment.to_environ()) == environment


def test_a_missing_image_is_told_with_its_purpose() -> None:
    """Whoever runs the scenarios on a cluster of their own must push images first."""
    with pytest.raises(EnvironmentMissingError, match="SERVER_IMAGE is not set: it names the server's image"):
        Environment.from_environ({"KUBECONFIG": "/c", "OPERATOR_IMAGE": "o:1"})
