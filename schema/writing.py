"""Pieces of generated Python modules, and their formatting."""

from __future__ import annotations

import subprocess
import sys
import textwrap

WIDTH = 119
HEADER = "# Generated from schema/namespace_options.toml by `make options`. Do not edit.\n"


def docstring(text: str, indent: str = "    ") -> str:
    """Return a docstring: on one line if it fits, else the first sentence and the rest below it."""
    text = " ".join(text.split())
    if len(indent) + len(text) + 6 <= WIDTH + 1:
        return f'{indent}"""{text}"""\n'
    first, _, rest = text.partition(". ")
    if not rest or len(indent) + len(first) + 4 > WIDTH + 1:
        raise ValueError(f"the first sentence must fit on a line: {text}")
    wrapped = textwrap.wrap(rest, WIDTH - len(indent), break_on_hyphens=False, break_long_words=False)
    lines = "\n".join(f"{indent}{line}" for line in wrapped)
    return f'{indent}"""{first}.\n\n{lines}\n{indent}"""\n'


def text(value: str) -> str:
    """Return a string literal with double quotes, divided into parts that fit on a line."""
    parts = textwrap.wrap(value, WIDTH - 24, break_on_hyphens=False, drop_whitespace=False)
    return "\n".join('"' + part.replace('"', r"\"") + '"' for part in parts)


def formatted(source: str) -> str:
    """Format the source with ruff, as `make check` demands."""
    command = [sys.executable, "-P", "-m", "ruff", "format", "--stdin-filename", "generated.py", "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout
