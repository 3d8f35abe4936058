"""Generate the reference of the commands: `python -m realtime_operator.cli.reference FILE`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.main import get_group

from realtime_operator.cli.__main__ import DEFECT, EXIT_CODES, build_app
from realtime_operator.cli.command import COMMON, EXAMPLES
from realtime_operator.errors import INTERRUPTED

HEADER = """\
# Commands

The command is `realtime`. It is also installed as `kubectl-realtime`, so that `kubectl realtime` works.
This page is generated from the code by `make docs`.

## Which platform

A command works on this machine or on Kubernetes. It chooses in this order:

1. `--platform local` or `--platform kubernetes`, or the environment variable `REALTIME_PLATFORM`.
2. Kubernetes, if you use `kubectl realtime`, `--context` or `--namespace`.
3. This machine, if `realtime up` runs here (with the same `--state-dir`).
4. Kubernetes otherwise.

On Kubernetes a command uses your KUBECONFIG, and connects to the API server only.
On a terminal each command prints which platform it uses.
"""

EXITS = """\
## Exit codes

| code | means |
| --- | --- |
| 0 | done |
| 1 | the platform refused or failed; or `doctor`, `probe`, `rollout status` or `demo` found an error |
| {input} | the input is invalid: an option, a file, an unknown name, or a value that the API refuses |
| {unreachable} | the platform or a server does not answer |
| {forbidden} | a permission is missing |
| {defect} | a bug in this program; `REALTIME_DEBUG=1` shows the stack trace |
| {interrupted} | Ctrl-C |
"""

FORMATS = """\
## Output

Commands with `-o` print `table` (default), `wide`, `json`, `yaml` or `name`.
Results go to standard output, everything else to standard error.
Colours are used on a terminal only, and not if `NO_COLOR` is set.
To install completion for your shell, run `realtime --install-completion`.
"""


def build_reference() -> str:
    """Build the document."""
    codes = {kind.__name__: code for kind, code in EXIT_CODES.items()}
    exits = EXITS.format(
        input=codes["InputError"],
        unreachable=codes["UnreachableError"],
        forbidden=codes["ForbiddenError"],
        interrupted=INTERRUPTED,
        defect=DEFECT,
    )
    sections = [HEADER, FORMATS, exits, *_sections(build_app(), "realtime")]
    return "\n".join(sections)


def _sections(app: typer.Typer, prefix: str) -> Iterator[str]:
    group = get_group(app)
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        if inner is None:
            yield _section(f"{prefix} {name}", command.help or "", list(_options(command.params)))
            continue
        for inner_name, inner_command in inner.items():
            options = list(_options(inner_command.params))
            yield _section(f"{prefix} {name} {inner_name}", inner_command.help or "", options)


def _section(name: str, text: str, options: list[str]) -> str:
    described, _, examples = inspect.cleandoc(text).partition(EXAMPLES)
    lines = [f"## {name}", "", described.replace("\b", "").strip(), ""]
    if examples:
        lines += ["```console", *(line.strip() for line in examples.splitlines() if line.strip()), "```", ""]
    if options:
        lines += ["| option | means |", "| --- | --- |", *options, ""]
    return "\n".join(lines)


EXPLAINED_ONCE = frozenset({*(parameter.name for parameter in COMMON), "help"})
"""Options that the beginning of the reference explains for all commands."""


def _options(parameters: object) -> Iterator[str]:
    assert isinstance(parameters, list)
    for parameter in parameters:
        if parameter.name in EXPLAINED_ONCE:
            continue
        names = " ".join([*parameter.opts, *parameter.secondary_opts])
        if not names.startswith("-"):
            names = parameter.metavar or parameter.name.upper()
        value = parameter.opts[0] if parameter.default is True else _plain(parameter.default)
        default = "" if parameter.default in {None, "", False} else f" Default: `{value}`."
        yield f"| `{names}` | {parameter.help or ''}{default} |"


def _plain(value: object) -> str:
    return str(getattr(value, "value", value))


def main() -> None:
    """Write the reference to the file in the first argument."""
    Path(sys.argv[1]).write_text(build_reference())


if __name__ == "__main__":
    main()
