"""Output of the commands: tables for people, JSON and YAML for programs, colours on a terminal only."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Annotated

import typer
import yaml
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from realtime_operator.api.base import JsonValue

PIPE_WIDTH = 400
"""Width of output that is not a terminal, in columns, so that nothing is truncated."""
SPARKS = "▁▂▃▄▅▆▇█"
STYLES = {
    "Ready": "green", "Progressing": "yellow", "Pending": "yellow", "Paused": "cyan", "Degraded": "red",
    "Serving": "green", "Quiesced": "yellow", "Draining": "yellow", "Drained": "cyan", "Terminating": "cyan",
    "Passed": "green", "Failed": "red", "Undecided": "yellow",
    "ok": "green", "warning": "yellow", "error": "red", "Warning": "yellow",
}  # fmt: skip


class Output(StrEnum):
    """Values of `-o`."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


OutputOption = Annotated[Output, typer.Option("-o", "--output", help="Output format.", rich_help_panel="Output")]


def console() -> Console:
    """Return the console for answers (standard output)."""
    return _console(sys.stdout.isatty(), stderr=False)


def messages() -> Console:
    """Return the console for progress, notices and errors (standard error)."""
    return _console(sys.stderr.isatty(), stderr=True)


def _console(terminal: bool, *, stderr: bool) -> Console:
    width = None if terminal else PIPE_WIDTH
    return Console(
        stderr=stderr, width=width, highlight=False, markup=False, emoji=False, no_color="NO_COLOR" in os.environ
    )


def say(text: str, style: str = "") -> None:
    """Print a message to standard error."""
    messages().print(text, style=style, soft_wrap=True)


@contextlib.contextmanager
def working(text: str) -> Iterator[None]:
    """Show a spinner on a terminal while the body runs."""
    target = messages()
    with target.status(text) if target.is_terminal else contextlib.nullcontext():
        yield


def show(renderable: RenderableType) -> None:
    """Print an answer; without a terminal the padding of the last column is left out."""
    target = console()
    if target.is_terminal:
        target.print(renderable)
    else:
        sys.stdout.write(plain(renderable))


def plain(renderable: RenderableType) -> str:
    """Render an answer as plain text."""
    target = Console(file=io.StringIO(), width=PIPE_WIDTH, highlight=False, markup=False, emoji=False, no_color=True)
    with target.capture() as captured:
        target.print(renderable)
    return "".join(line.rstrip() + "\n" for line in captured.get().splitlines())


def document(value: JsonValue, output: Output) -> None:
    """Print a value as JSON or YAML to standard output."""
    if output is Output.YAML:
        sys.stdout.write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
    else:
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def table(
    headers: Sequence[str], rows: Iterable[Sequence[RenderableType]], right: Iterable[str] = (), gap: int = 3
) -> Table:
    """Build a table in kubectl's style; `right` names right-aligned columns, `gap` is the space between columns."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, gap, 0, 0))
    numbers = set(right)
    for header in headers:
        made.add_column(header, justify="right" if header in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def word(text: str) -> Text:
    """Return a state in its colour."""
    return Text(text, style=STYLES.get(text, ""))


def bar(part: float, whole: float, width: int = 20) -> str:
    """Return a bar of `part / whole` of the width; at least one character for a positive part."""
    if whole <= 0 or part <= 0:
        return ""
    return "█" * max(1, round(width * part / whole))


def sparkline(values: Sequence[float]) -> str:
    """Return one character per value, whose height is relative to the largest."""
    top = max(values, default=0.0)
    if top <= 0:
        return SPARKS[0] * len(values)
    return "".join(SPARKS[min(len(SPARKS) - 1, int(value / top * (len(SPARKS) - 1) + 0.5))] for value in values)


def number(value: float | None) -> str:
    """Format a number with few digits; None as `-`."""
    if value is None:
        return "-"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1000 if unit == 'k' else limit):.1f}{unit}"
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"


def size(count: float | None) -> str:
    """Format bytes in binary units; None as `-`."""
    if count is None:
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def milliseconds(seconds: float | None) -> str:
    """Format seconds as milliseconds; None as `-`."""
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"
