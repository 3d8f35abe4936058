"""The operator as its chart installs it, with helm, into a cluster that runs."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from realtime_operator.api.base import JsonObject

CHART = Path(__file__).parents[2] / "helm" / "realtime-operator"
RELEASE = "realtime-operator"
NAMESPACE = "realtime-system"
HELM_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Images:
    """References (name:tag) of the images that the chart's values name."""

    operator: str
    server: str
    redis: str


@dataclass(frozen=True, slots=True)
class Helm:
    """helm, with credentials."""

    program: Path
    kubeconfig: Path

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run helm and return what it prints; raises RuntimeError with what it complains about."""
        result = subprocess.run(
            [str(self.program), "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=HELM_SECONDS + 30,
        )
        if result.returncode != 0:
            raise RuntimeError(f"helm {' '.join(arguments)}: {result.stderr.strip() or result.stdout.strip()}")
        return result.stdout

    def install(self, images: Images, *, release: str = RELEASE, namespace: str = NAMESPACE, **changes: object) -> str:
        """Install the chart, wait until the operator runs, and return the notes; `changes` replace top-level values."""
        values = json.dumps({**chart_values(images), **changes})
        return self.run(
            "upgrade", "--install", release, str(CHART), "--namespace", namespace, "--create-namespace",
            "--values", "-", "--wait", "--timeout", f"{HELM_SECONDS}s", stdin=values,
        )  # fmt: skip

    def uninstall(self, *, release: str = RELEASE, namespace: str = NAMESPACE) -> None:
        """Uninstall a release; an absent one is fine."""
        self.run("uninstall", release, "--namespace", namespace, "--ignore-not-found", "--wait")


def chart_values(images: Images) -> JsonObject:
    """Return the values for a test: images that are there already, and timings short enough to wait for."""
    return {
        "image": _image(images.operator),
        "server": {"image": _image(images.server)},
        "redis": {"image": _image(images.redis, policy=False)},
        "leaderElection": {"leaseDurationSeconds": 4, "renewSeconds": 3, "retrySeconds": 1},
        "resyncSeconds": 5,
        "pollSeconds": 0.5,
        "readinessProbe": {"initialDelaySeconds": 0, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 3},
        "log": {"level": "debug", "format": "text"},
    }


def _image(reference: str, *, policy: bool = True) -> JsonObject:
    repository, _, tag = reference.rpartition(":")
    image: JsonObject = {"repository": repository, "tag": tag}
    return {**image, "pullPolicy": "IfNotPresent"} if policy else image
