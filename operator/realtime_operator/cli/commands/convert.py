"""`convert`: rewrites files that use former names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from realtime_operator.cli.cluster_file import read_text
from realtime_operator.cli.output import say
from realtime_operator.errors import InputError

STDIN = Path("-")
FilesArgument = Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML files. - is standard input.")]
InPlaceOption = Annotated[bool, typer.Option("-i", "--in-place", help="Write the files instead of printing them.")]


def convert(files: FilesArgument, *, in_place: InPlaceOption = False) -> None:
    """Rewrite RealtimeClusters that use former names of fields and values to the current names.

    The converted files go to standard output, the list of changes to standard error. Comments and other objects are
    kept. If a field cannot be converted, nothing is written: the error names the field and the reason, and the exit
    code is 2.

    Examples:
      realtime convert chat.yaml > converted.yaml
      realtime convert --in-place deploy/*.yaml

    """
    # the YAML library that keeps comments takes a tenth of a second to import
    from realtime_operator.cli import yaml_rewrite

    if in_place and STDIN in files:
        raise InputError("standard input cannot be written in place: leave --in-place out")
    texts = {file: sys.stdin.read() if file == STDIN else read_text(file) for file in files}
    converted = {file: yaml_rewrite.convert(text, str(file)) for file, text in texts.items()}
    for file, result in converted.items():
        for edit in result.edits:
            say(f"{file}: {edit}")
        if not result.edits:
            say(f"{file}: nothing to convert", "dim")
        if not in_place:
            typer.echo(result.text, nl=False)
        elif result.edits:
            _write(file, result.text)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}") from error
