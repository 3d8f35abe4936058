"""Writes what is generated from the models: the CRD, and its reference.

python -m realtime_operator.api.crdgen DIR...            write the CRD into each folder
python -m realtime_operator.api.crdgen --check DIR...    fail if a folder's CRD is not what would be written
python -m realtime_operator.api.crdgen --reference FILE  write the reference
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from realtime_operator.api.crd import FILE_NAME, build_crd
from realtime_operator.api.reference import build_reference

HEADER = "# Generated from operator/realtime_operator/api/v1alpha1.py by `make crds`. Do not edit.\n"
MAX_DIFFERENCE_LINES = 40


def render_crd() -> str:
    """Return the text of the CRD's file, which is deterministic."""
    body: str = yaml.safe_dump(build_crd(), sort_keys=False, width=120, allow_unicode=True)
    return f"{HEADER}---\n{body}"


def difference(path: Path, wanted: str) -> str:
    """Return the difference of a file from its wanted text as a unified diff, truncated; empty when there is none."""
    there = path.read_text() if path.exists() else ""
    lines = list(difflib.unified_diff(there.splitlines(), wanted.splitlines(), str(path), "generated", lineterm=""))
    return "\n".join(lines[:MAX_DIFFERENCE_LINES])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return 1 when a checked file differs."""
    parser = argparse.ArgumentParser(prog="crdgen", description="Generate the CRD and its reference from the models.")
    parser.add_argument("directories", nargs="*", type=Path, metavar="DIR", help="folder of the CRD's file")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    parser.add_argument("--reference", type=Path, metavar="FILE", help="file of the reference")
    options = parser.parse_args(arguments)
    files = {directory / FILE_NAME: render_crd() for directory in options.directories}
    if options.reference:
        files[options.reference] = build_reference()
    if not files:
        parser.error("name a folder or --reference FILE")
    if options.check:
        return _check(files)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


def _check(files: dict[Path, str]) -> int:
    wrong = {path: found for path, text in files.items() if (found := difference(path, text))}
    for path, found in wrong.items():
        sys.stderr.write(f"{path} is not what the models say; run `make crds docs`.\n{found}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
