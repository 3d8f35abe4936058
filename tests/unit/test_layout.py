"""The folders `operator/` and `server/` hold packages and are none: the standard library's `operator` stays itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
WHERE_OPERATOR_IS = "import operator, os; print(os.path.dirname(os.__file__) == os.path.dirname(operator.__file__))"


@pytest.mark.parametrize("options", [(), ("-S",), ("-P",), ("-I",)], ids=" ".join)
def test_operator_is_pythons_own_in_the_repository(options: tuple[str, ...]) -> None:
    """Also for an interpreter that has the repository's root first on its path, and without site-packages."""
    found = subprocess.run(
        [sys.executable, *options, "-c", WHERE_OPERATOR_IS], cwd=REPOSITORY, capture_output=True, text=True, timeout=30
    )
    assert found.stdout == "True\n", found.stderr


def test_neither_folder_is_a_package() -> None:
    """An __init__.py would make the folder shadow the standard library's module."""
    assert not (REPOSITORY / "operator" / "__init__.py").exists()
    assert not (REPOSITORY / "server" / "__init__.py").exists()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout and unpacked as an installer does."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-P", "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True, timeout=60)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def test_operator_is_pythons_own_beside_the_installed_wheel(installed: Path) -> None:
    """The wheel's folder is first on the path, where it would win."""
    program = f"import sys; sys.path.insert(0, {str(installed)!r}); {WHERE_OPERATOR_IS}"
    found = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=30)
    assert found.stdout == "True\n", found.stderr


def test_the_wheel_has_two_packages_and_nothing_else(installed: Path) -> None:
    """No tests, no top-level `operator` or `server`; with what the programs read at run time."""
    names = {entry.name for entry in installed.iterdir() if not entry.name.endswith(".dist-info")}
    assert names == {"realtime_operator", "realtime_server"}
    for package in names:
        assert (installed / package / "py.typed").is_file()
    source = {
        str(file.relative_to(REPOSITORY / root))
        for root, package in (("operator", "realtime_operator"), ("server", "realtime_server"))
        for file in (REPOSITORY / root / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    shipped = {str(file.relative_to(installed)) for file in installed.rglob("*") if file.is_file()}
    assert source <= shipped
    assert any(name.startswith("realtime_server/_native.") for name in shipped), "there is a compiler here"


def test_without_a_compiler_the_wheel_is_for_every_platform(tmp_path: Path) -> None:
    """Pure Python, with the twins of what would be in C."""
    copy = tmp_path / "checkout"
    shutil.copytree(REPOSITORY, copy, ignore=shutil.ignore_patterns(".*", "node_modules", "_native.*", "dist", "docs"))
    build = [sys.executable, "-P", "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    environment = {**os.environ, "CC": "/nowhere/cc"}
    made = subprocess.run(build, cwd=copy, env=environment, capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    assert "without the accelerator" in made.stdout + made.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    required = subprocess.run(build, cwd=copy, env={**environment, "REALTIME_NATIVE": "1"}, capture_output=True)
    assert required.returncode != 0
