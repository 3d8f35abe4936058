"""Installation of the operator by its chart, with helm, into a running cluster."""

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
    """References (name:tag) of the images in the chart's values."""

    operator: str
    server: str
    redis: str


@dataclass(frozen=True, slots=True)
class Helm:
    """helm with the cluster's credentials."""

    program: Path
    kubeconfig: Path

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run helm and return its output; raises RuntimeError with its error output."""
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

    def install(
        self,
        images: Images,
        *,
        release: str = RELEASE,
        namespace: str = NAMESPACE,
        chart: str = str(CHART),
        plain_http: bool = False,
        **changes: object,
    ) -> str:
        """Install the chart, wait until the operator runs, and return the notes; `changes` replace top-level values.

        A change to None leaves a value out, which an earlier chart does not have.
        `chart` may be another folder, or in a registry (`plain_http`: one without TLS).
        """
        wanted = {**chart_values(images), **changes}
        values = json.dumps({name: value for name, value in wanted.items() if value is not None})
        return self.run(
            "upgrade", "--install", release, chart, "--namespace", namespace, "--create-namespace",
            "--values", "-", "--wait", "--timeout", f"{HELM_SECONDS}s", *(["--plain-http"] if plain_http else []),
            stdin=values,
        )  # fmt: skip

    def uninstall(self, *, release: str = RELEASE, namespace: str = NAMESPACE) -> None:
        """Uninstall a release; without effect when it does not exist."""
        self.run("uninstall", release, "--namespace", namespace, "--ignore-not-found", "--wait")


def chart_values(images: Images) -> JsonObject:
    """Return the values for tests: images that are imported already, and short intervals."""
    return {
        "image": _image(images.operator),
        "server": {"image": _image(images.server)},
        "redis": {"image": _image(images.redis, policy=False)},
        "leaderElection": {"leaseDurationSeconds": 8, "renewSeconds": 6, "retrySeconds": 1},
        "resyncSeconds": 5,
        "pollSeconds": 0.5,
        "readinessProbe": {"initialDelaySeconds": 0, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 3},
        "log": {"level": "debug", "format": "text"},
        "networkPolicy": {"enabled": True},
        "webhook": {"enabled": True},
    }


def _image(reference: str, *, policy: bool = True) -> JsonObject:
    repository, _, tag = reference.rpartition(":")
    image: JsonObject = {"repository": repository, "tag": tag}
    return {**image, "pullPolicy": "IfNotPresent"} if policy else image
