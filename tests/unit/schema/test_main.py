"""Tests of the program that writes the generated files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from schema.__main__ import PAGE, REPOSITORY, generated, main
from schema.table import TABLE, Table


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the repository's generated files."""
    for path in generated(Table.read()):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / path, tmp_path / path)
    return tmp_path


def test_what_is_committed_is_up_to_date() -> None:
    """The committed files are those of `make options`."""
    assert main(["--check"]) == 0


def test_a_changed_table_changes_both_sides(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --check the differing files are named and not written; without it they are written, and then agree."""
    table = checkout / "table.toml"
    table.write_text(TABLE.read_text().replace("default = 100\n", "default = 200\n"))
    before = {path: (checkout / path).read_text() for path in generated(Table.read())}
    assert main(["--check"], table=table, root=checkout) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("is not what the table says; run `make options`") == 4
    assert f"{PAGE} is not" in stderr
    assert {path: (checkout / path).read_text() for path in before} == before
    assert main([], table=table, root=checkout) == 0
    assert main(["--check"], table=table, root=checkout) == 0


def test_a_wrong_table_is_told(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error has no stack trace."""
    table = checkout / "table.toml"
    table.write_text("")
    assert main([], table=table, root=checkout) == 1
    assert str(table) in capsys.readouterr().err
