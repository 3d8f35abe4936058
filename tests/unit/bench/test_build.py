"""What is built, and what is said when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import build
from bench.build import BuildError


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `program` with one C file, and a cache of its own."""
    monkeypatch.setattr(build, "BENCH", tmp_path)
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "main.c").write_text("int main(void) { return 0; }\n")
    return folder


def test_a_program_is_built_once(sources: Path) -> None:
    """And again when a source has changed."""
    first = build.c_program("program")
    built = first.stat().st_mtime_ns
    assert (build.c_program("program"), first.stat().st_mtime_ns) == (first, built)
    (sources / "main.c").write_text("int main(void) { return 1; }\n")
    assert build.c_program("program") != first


def test_what_the_compiler_says_is_told(sources: Path) -> None:
    """And nothing is left in the cache."""
    (sources / "main.c").write_text("int main(void) { return }\n")
    with pytest.raises(BuildError, match=r"main\.c:1"):
        build.c_program("program")
    assert not list((sources.parent / "cache").iterdir())


@pytest.mark.parametrize(
    ("make", "missing"),
    [
        (lambda: build.c_program("program"), "a C compiler"),
        (lambda: build.go_program("centrifuge"), "Go"),
        (build.node_modules, "Node.js"),
    ],
)
def test_a_missing_tool_is_named(sources: Path, monkeypatch: pytest.MonkeyPatch, make: object, missing: str) -> None:
    """So that who reads the notice knows what to install."""
    assert sources.exists()
    monkeypatch.setenv("PATH", "")
    assert callable(make)
    with pytest.raises(BuildError, match=f"{missing}.* is not installed"):
        make()
