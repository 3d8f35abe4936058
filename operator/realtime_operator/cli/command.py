"""Commands from functions: each gets a Target, selected by common options, and returns an exit code."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Concatenate, ParamSpec

import typer

from realtime_operator.cli.local_target import LocalTarget
from realtime_operator.cli.output import say
from realtime_operator.cli.target import Target
from realtime_operator.errors import INTERRUPTED, InputError, PlatformError
from realtime_operator.platforms.local.state_folder import ENV_STATE_DIR, default_path

P = ParamSpec("P")

ENV_PLATFORM = "REALTIME_PLATFORM"
PANEL = "Where"
EXAMPLES = "Examples:"


class PlatformName(StrEnum):
    """The platform to connect to."""

    AUTO = "auto"
    LOCAL = "local"
    KUBERNETES = "kubernetes"


PlatformOption = Annotated[
    PlatformName,
    typer.Option(
        "--platform",
        envvar=ENV_PLATFORM,
        help="auto: this machine if `realtime up` runs here, else Kubernetes. kubectl realtime: always Kubernetes.",
        rich_help_panel=PANEL,
    ),
]
StateDirOption = Annotated[
    Path | None,
    typer.Option(
        "--state-dir", envvar=ENV_STATE_DIR, help="State folder of `realtime up`.", rich_help_panel=PANEL,
        show_default="realtime in $XDG_STATE_HOME",
    ),
]  # fmt: skip
ContextOption = Annotated[
    str | None, typer.Option("--context", help="Context in the KUBECONFIG.", rich_help_panel=PANEL)
]
NamespaceOption = Annotated[
    str | None, typer.Option("-n", "--namespace", help="Kubernetes namespace.", rich_help_panel=PANEL)
]
ClusterOption = Annotated[
    str | None,
    typer.Option("-c", "--cluster", help="Name of the RealtimeCluster. Not needed when there is only one."),
]


@dataclass(frozen=True, slots=True)
class Selection:
    """Values of the options that select the target."""

    platform: PlatformName = PlatformName.AUTO
    state_dir: Path | None = None
    context: str | None = None
    namespace: str | None = None

    async def open(self) -> Target:
        """Open the target; raises InputError or PlatformError with advice."""
        path = self.state_dir or default_path()
        wants_kubernetes = self.context is not None or self.namespace is not None or as_plugin()
        local = self.platform is PlatformName.LOCAL
        if local or (self.platform is PlatformName.AUTO and not wants_kubernetes):
            target = LocalTarget.open(path)
            if target is not None:
                return target
            if local:
                raise InputError(f"nothing runs in {path}: start it with `realtime up -f FILE`")
        # the Kubernetes client takes a third of a second to import
        from realtime_operator.cli.kubernetes_target import KubernetesTarget

        try:
            return await KubernetesTarget.open(self.context, self.namespace)
        except PlatformError as error:
            if wants_kubernetes or self.platform is PlatformName.KUBERNETES:
                raise
            raise InputError(
                f"nothing runs on this machine ({path}): start it with `realtime up -f FILE`;"
                f" Kubernetes cannot be used either: {error}"
            ) from error


COMMON = (
    inspect.Parameter("platform", inspect.Parameter.KEYWORD_ONLY, default=PlatformName.AUTO, annotation=PlatformOption),
    inspect.Parameter("state_dir", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=StateDirOption),
    inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ContextOption),
    inspect.Parameter("namespace", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=NamespaceOption),
)


def as_plugin() -> bool:
    """Return True when kubectl has started this program."""
    return Path(sys.argv[0]).name.startswith("kubectl-")


def with_target(function: Callable[Concatenate[Target, P], Awaitable[int | None]]) -> Callable[..., None]:
    """Make a command of a coroutine function, which gets a Target first and returns the exit code (None: 0)."""
    signature = inspect.signature(function, eval_str=True)
    _, *own = signature.parameters.values()
    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    parameters = [*keywords, *COMMON]

    @functools.wraps(function)
    def command(*arguments: P.args, **options: P.kwargs) -> None:
        selection = Selection(**{parameter.name: options.pop(parameter.name) for parameter in COMMON})  # type: ignore[arg-type] # typer has parsed them by their annotations
        try:
            code = asyncio.run(_run(selection, function, *arguments, **options))
        except KeyboardInterrupt:
            code = INTERRUPTED
        if code:
            raise typer.Exit(code)

    command.__signature__ = signature.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined] # read by inspect.signature
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del command.__wrapped__
    return command


async def _run(
    selection: Selection,
    function: Callable[Concatenate[Target, P], Awaitable[int | None]],
    *arguments: P.args,
    **options: P.kwargs,
) -> int:
    target = await selection.open()
    if sys.stderr.isatty() and "REALTIME_QUIET" not in os.environ:
        say(f"on {target.description}", "dim")
    try:
        return await function(target, *arguments, **options) or 0
    finally:
        await target.close()


def help_of(function: Callable[..., object]) -> str:
    """Return the docstring of a command, with its examples kept line by line."""
    text, _, examples = (inspect.getdoc(function) or "").partition(EXAMPLES)
    lines = "\n".join(f"  {line.strip()}" for line in examples.splitlines() if line.strip())
    return f"{text.strip()}\n\n\b\n{EXAMPLES}\n{lines}" if lines else text.strip()
