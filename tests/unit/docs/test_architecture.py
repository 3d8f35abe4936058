"""The paths in docs/architecture.md go through modules that are there, and call what they have."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVER = ROOT / "server" / "realtime_server"
TEXT = (ROOT / "docs" / "architecture.md").read_text()
PATHS = re.findall(
    r"^### (The path .*?)\n.*?```mermaid\nsequenceDiagram\n(.*?)```", TEXT, flags=re.DOTALL | re.MULTILINE
)
PACKAGE = re.compile(r"^\| `([a-z_]+)/` \|", flags=re.MULTILINE)


def functions_of(module: str) -> set[str]:
    """The names of all functions and methods of a module of the server."""
    tree = ast.parse((SERVER / f"{module}.py").read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def calls(module: str, name: str) -> bool:
    """Whether a module of the server calls something of this name."""
    return re.search(rf"\b{name}\(", (SERVER / f"{module}.py").read_text()) is not None


def test_the_walks_are_there() -> None:
    """One of a publication, one of a subscribe command."""
    assert [name for name, _ in PATHS] == ["The path of one publication", "The path of one subscribe command"]


@pytest.mark.parametrize(("name", "path"), PATHS, ids=[name for name, _ in PATHS])
def test_each_step_calls_what_is_there(name: str, path: str) -> None:
    """Each participant is a module, each message a function or a method of it."""
    modules = dict(re.findall(r"participant (\w+) as (\S+)", path))
    steps = re.findall(r"^  (\w+)->>(\w+): (\w+)\(\)$", path, flags=re.MULTILINE)
    assert len(steps) >= 8, name
    assert len(steps) == path.count("->>")
    missing = [f"{modules[to]}: {call}" for _, to, call in steps if call not in functions_of(modules[to])]
    uncalled = [f"{modules[begin]}: {call}" for begin, _, call in steps if not calls(modules[begin], call)]
    assert (missing, uncalled) == ([], [])
    assert {one for begin, to, _ in steps for one in (begin, to)} == set(modules)


@pytest.mark.parametrize("folder", ["", "core"], ids=["server", "core"])
def test_each_package_of_the_server_is_explained(folder: str) -> None:
    """Whoever makes one says what belongs there."""
    explained = set(PACKAGE.findall(TEXT))
    packages = {file.parent.name for file in (SERVER / folder).glob("*/__init__.py")}
    assert packages <= explained
