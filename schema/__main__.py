"""Writes what is generated from the table of namespace options.

python -m schema          write the modules and the table of the reference
python -m schema --check  write nothing, fail if one of them is not what would be written
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from schema import operator_side, reference, server_side
from schema.table import TABLE, Table, TableError

REPOSITORY = Path(__file__).parents[1]
PAGE = Path("docs/reference/server-config.md")
MAX_DIFFERENCE_LINES = 40


def generated(table: Table, root: Path = REPOSITORY) -> Mapping[Path, str]:
    """Return the contents of all generated files, by path in the repository."""
    operator, server = Path("operator/realtime_operator"), Path("server/realtime_server")
    return {
        operator / "api/v1alpha1_namespace.py": operator_side.model_module(table),
        operator / "builders/configuration/namespaces.py": operator_side.config_module(table),
        server / "core/model/channel_options.py": server_side.core_module(table),
        server / "namespace_settings.py": server_side.settings_module(table),
        PAGE: reference.with_table((root / PAGE).read_text(), table),
    }


def difference(path: Path, wanted: str) -> str:
    """Return the difference of a file from its wanted text as a unified diff, truncated; empty when there is none."""
    there = path.read_text() if path.exists() else ""
    lines = list(difflib.unified_diff(there.splitlines(), wanted.splitlines(), str(path), "generated", lineterm=""))
    return "\n".join(lines[:MAX_DIFFERENCE_LINES])


def main(arguments: Sequence[str] | None = None, *, table: Path = TABLE, root: Path = REPOSITORY) -> int:
    """Run the program; return 1 when the table is invalid or a checked file differs."""
    parser = argparse.ArgumentParser(prog="schema", description="Generate code from the table of namespace options.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    check = parser.parse_args(arguments).check
    try:
        files = generated(Table.read(table), root)
    except TableError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    stale = {path: found for path, text in files.items() if (found := difference(root / path, text))}
    for path, found in stale.items():
        if check:
            sys.stderr.write(f"{path} is not what the table says; run `make options`.\n{found}\n")
        else:
            (root / path).write_text(files[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
