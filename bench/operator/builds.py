"""The compared operators: this checkout's, and that of an earlier commit."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from tests.kit.document import parse

from bench.checkout import REPOSITORY, checked_out, git
from realtime_operator.api.base import JsonObject

CRDS = Path("helm/realtime-operator/files/crds")
PERMISSIONS = Path("helm/realtime-operator/files/permissions.yaml")


@dataclass(frozen=True, slots=True)
class Build:
    """An operator: its commit, the command line that runs it, and the rules of its chart's role."""

    name: str
    commit: str
    checkout: Path

    @property
    def program(self) -> tuple[str, ...]:
        """Command line of the operator: this Python and its libraries with the build's own code."""
        code = f"{self.checkout / 'operator'}"
        return ("env", f"PYTHONPATH={code}", sys.executable, "-P", "-m", "realtime_operator")

    @property
    def crd(self) -> JsonObject:
        """Return its definition of RealtimeClusters."""
        (file,) = (self.checkout / CRDS).glob("*.yaml")
        return parse(json.dumps(yaml.safe_load(file.read_text())))

    @property
    def rules(self) -> list[dict[str, list[str]]]:
        """Return the rules of its role."""
        granted = yaml.safe_load((self.checkout / PERMISSIONS).read_text())
        return [*granted["clusters"], *granted["leaderElection"]]


@contextlib.contextmanager
def builds(base: str) -> Iterator[tuple[Build, Build]]:
    """Yield the build of the commit `base`, checked out while the body runs, and that of this checkout."""
    with checked_out(base) as checkout:
        before = Build("before", git("rev-parse", "--short", base), checkout)
        yield before, Build("now", git("rev-parse", "--short", "HEAD"), REPOSITORY)
