"""Tests of the lists of what is in an image: complete, and valid by the standard's schema."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.kit.cluster.bill_of_materials import installed_wheels, write
from tests.kit.document import object_at, objects_at, parse, text_at

STATUS = """\
Package: base-files
Status: install ok installed
Architecture: amd64
Version: 13.8
Description: Debian base system
 with: a colon

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.41-12
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A root file system with two packages and the remains of a third one."""
    path = tmp_path / "base.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("./var/lib/dpkg/status")
        member.size = len(STATUS)
        archive.addfile(member, io.BytesIO(STATUS.encode()))
    return path


def test_packages_and_wheels_are_listed(base: Path, tmp_path: Path) -> None:
    """Debian's have version and architecture, Python's the SHA-256 of the file that was installed."""
    wheels, own, target = tmp_path / "wheels", tmp_path / "own", tmp_path / "sbom" / "server.cdx.json"
    for folder, names in ((wheels, ("msgspec-0.19.0-cp313-cp313-linux_x86_64.whl", "pip-25.0-py3-none-any.whl")),
                          (own, ("realtime_operator-0.1.0-cp313-cp313-linux_x86_64.whl",))):  # fmt: skip
        folder.mkdir()
        for name in names:
            (folder / name).write_text(name)
    (wheels / "requirements.txt").write_text("msgspec==0.19.0 \\\n    --hash=sha256:0\n")
    write(target, "localhost/server:1.2", base, "trixie", installed_wheels(wheels, own))
    text = target.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = parse(text)
    assert text_at(document, "metadata", "component", "name") == "localhost/server"
    found = {text_at(item, "purl"): item for item in objects_at(document, "components")}
    assert set(found) == {
        "pkg:deb/debian/base-files@13.8?arch=amd64&distro=trixie",
        "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=trixie",
        "pkg:pypi/msgspec@0.19.0",
        "pkg:pypi/realtime-operator@0.1.0",
    }
    digest = hashlib.sha256(b"msgspec-0.19.0-cp313-cp313-linux_x86_64.whl").hexdigest()
    assert objects_at(found["pkg:pypi/msgspec@0.19.0"], "hashes") == [{"alg": "SHA-256", "content": digest}]
    assert json.dumps(object_at(document, "metadata")) != "{}"


def test_a_tar_without_packages_is_refused(tmp_path: Path) -> None:
    """An empty list would be taken for an empty image."""
    path = tmp_path / "base.tar"
    tarfile.open(path, "w").close()
    with pytest.raises(FileNotFoundError, match="not the root of a Debian system"):
        write(tmp_path / "out", "a:1", path, "trixie")
