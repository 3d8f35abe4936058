"""Lists of what is in the images (SBOM), as CycloneDX 1.6: Debian packages, and Python wheels with their hashes.

They are made of what the images are made of: the packages of the base as dpkg knows them, and the files in dist/wheels.
dpkg keeps no hash of a package; its version and the suite name the file in Debian's archive.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.utils import parse_wheel_filename

DPKG_STATUS = "var/lib/dpkg/status"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==", flags=re.MULTILINE)


def write(target: Path, image: str, base: Path, suite: str, wheels: Iterable[Path] = ()) -> None:
    """Write the list of an image: the packages of its base (a tar), and wheels."""
    status = _dpkg_status(base)
    version = image.rpartition(":")[2]
    described = Component(name=image.rpartition(":")[0], version=version, type=ComponentType.CONTAINER, bom_ref=image)
    bom = Bom(components=[*debian_packages(status, suite), *python_wheels(wheels)])
    bom.metadata.component = described
    bom.register_dependency(described, bom.components)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(JsonV1Dot6(bom).output_as_string(indent=1) + "\n")


def debian_packages(status: str, suite: str) -> Iterator[Component]:
    """Yield the installed packages of a dpkg status file."""
    for paragraph in status.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if re.match(r"[A-Z][\w-]*: ", line))
        if fields.get("Status") != "install ok installed":
            continue
        name, version, architecture = (fields[key] for key in ("Package", "Version", "Architecture"))
        purl = PackageURL("deb", "debian", name, version, {"arch": architecture, "distro": suite})
        yield Component(name=name, version=version, purl=purl, bom_ref=str(purl))


def python_wheels(files: Iterable[Path]) -> Iterator[Component]:
    """Yield the distributions of wheels, with the SHA-256 of each file."""
    for file in files:
        name, version, _, _ = parse_wheel_filename(file.name)
        purl = PackageURL("pypi", None, name, str(version))
        sha256 = HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(file.read_bytes()).hexdigest())
        yield Component(name=name, version=str(version), purl=purl, bom_ref=str(purl), hashes=[sha256])


def installed_wheels(folder: Path, own: Path) -> list[Path]:
    """Return the wheels that an image has: those in `folder` that its requirements.txt names, and the project's own."""
    wanted = {name.lower().replace("_", "-") for name in PINNED.findall((folder / "requirements.txt").read_text())}
    wheels = sorted(file for file in folder.glob("*.whl") if parse_wheel_filename(file.name)[0] in wanted)
    return [*wheels, *sorted(own.glob("*.whl"))]


def _dpkg_status(base: Path) -> str:
    with tarfile.open(base) as archive:
        for name in (DPKG_STATUS, f"./{DPKG_STATUS}"):
            try:
                member = archive.extractfile(name)
            except KeyError:
                continue
            if member is not None:
                return member.read().decode()
    raise FileNotFoundError(f"{base} has no {DPKG_STATUS}: it is not the root of a Debian system")
