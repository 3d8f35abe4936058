"""Tests of the program that writes the generated files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from realtime_operator.api import crdgen
from realtime_operator.api.crd import FILE_NAME, build_crd

ROOT = Path(__file__).parents[4]


def test_it_writes_the_crd_into_every_folder(tmp_path: Path) -> None:
    """Missing folders are created, and the file says that it is generated."""
    assert crdgen.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    text = (tmp_path / "a" / FILE_NAME).read_text()
    assert text == (tmp_path / "b" / FILE_NAME).read_text()
    assert text.startswith("# Generated")
    assert yaml.safe_load(text) == build_crd()


def test_check_accepts_what_was_written(tmp_path: Path) -> None:
    """The output is deterministic."""
    crdgen.main([str(tmp_path)])
    assert crdgen.main(["--check", str(tmp_path)]) == 0


def test_check_shows_a_difference_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The output names the command that repairs the file."""
    crdgen.main([str(tmp_path)])
    path = tmp_path / FILE_NAME
    edited = path.read_text().replace("default: 2\n", "default: 3\n")
    path.write_text(edited)
    assert crdgen.main(["--check", str(tmp_path)]) == 1
    stderr = capsys.readouterr().err
    assert "make crds" in stderr
    assert "-                default: 3" in stderr
    assert path.read_text() == edited


def test_check_fails_when_the_file_is_missing(tmp_path: Path) -> None:
    assert crdgen.main(["--check", str(tmp_path)]) == 1
    assert not list(tmp_path.iterdir())


def test_what_is_committed_is_up_to_date() -> None:
    """The committed files are those of `make crds docs`."""
    folders = [ROOT / "crds", ROOT / "helm" / "realtime-operator" / "files" / "crds"]
    reference = ROOT / "docs" / "reference" / "realtimecluster.md"
    assert crdgen.main(["--check", *map(str, folders), "--reference", str(reference)]) == 0


def test_it_asks_for_something_to_do() -> None:
    """Without arguments the program prints its usage."""
    with pytest.raises(SystemExit):
        crdgen.main([])
