"""No circle in what the two programs import: each module can be read, tested and moved without those above it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grimp
import pytest

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
CONTRACT = """
[importlinter]
root_package = made

[importlinter:contract:circles]
name = circles
type = acyclic_siblings
ancestors = made
"""


def circles(graph: grimp.ImportGraph) -> set[frozenset[str]]:
    """Return the modules that import each other in a circle, also by way of a package that imports its own parts."""
    reached = {module: _reached(graph, module) for module in graph.modules}
    return {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in reached
        if module in reached[module]
    }


def _reached(graph: grimp.ImportGraph, module: str) -> set[str]:
    todo, seen = [module], set[str]()
    while todo:
        found = graph.find_modules_directly_imported_by(todo.pop()) - seen
        seen |= found
        todo.extend(found)
    return seen


def test_nothing_imports_itself_by_way_of_others() -> None:
    """Imports within functions and under TYPE_CHECKING are counted."""
    assert circles(grimp.build_graph("realtime_operator", "realtime_server", cache_dir=None)) == set()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two modules that import each other, one of them for its types alone."""
    package = tmp_path / "made"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "node.py").write_text("from made.session import Session\n")
    (package / "session.py").write_text(
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from made.node import Node\n"
    )
    (tmp_path / ".importlinter").write_text(CONTRACT)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_circle_that_type_checking_hides_is_found(made: Path) -> None:
    """By this test, and by the contract of import-linter in `make check`."""
    assert circles(grimp.build_graph("made", cache_dir=None)) == {frozenset({"made.node", "made.session"})}
    lint = (
        "import sys; from importlinter.cli import lint_imports_command; sys.path.insert(0, '.'); lint_imports_command()"
    )
    found = subprocess.run(
        [sys.executable, "-P", "-c", lint, "--no-cache"], cwd=made, capture_output=True, text=True, timeout=60
    )
    assert (found.returncode, "circles BROKEN" in found.stdout) == (1, True), found.stdout + found.stderr


def test_the_contract_of_the_project_is_about_both_programs() -> None:
    """All of their packages, with no exception."""
    [contract] = [part for part in PROJECT.read_text().split("[[tool.importlinter.contracts]]") if "acyclic" in part]
    assert 'ancestors = ["realtime_operator", "realtime_server"]' in contract
    assert "ignore" not in contract
    assert "skip" not in contract
