"""`realtime`, also `kubectl realtime`: the application of all commands, for both platforms."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from realtime_operator.api.errors import InvalidCluster
from realtime_operator.builders.pods.strategic_merge import PatchError
from realtime_operator.cli.command import as_plugin, help_of, with_target
from realtime_operator.cli.commands import (
    backup,
    convert,
    credentials,
    demo,
    doctor,
    init,
    plan,
    probe,
    rollout,
    server_api,
    socket_io,
    status,
    tokens,
    top,
    up,
)
from realtime_operator.cli.output import say
from realtime_operator.errors import ForbiddenError, InputError, OperatorError, UnreachableError

EXIT_CODES: dict[type[Exception], int] = {
    InputError: 2,
    InvalidCluster: 2,
    PatchError: 2,
    UnreachableError: 4,
    ForbiddenError: 5,
}
"""Exit codes of errors; others have 1, as have checks that found a problem."""

DEFECT = 70
"""Exit code of a defect of this program (EX_SOFTWARE of sysexits.h)."""
ENV_DEBUG = "REALTIME_DEBUG"

LOOK, CHANGE, MESSAGES, RUN = "Look", "Change", "Messages", "Run"


def build_app() -> typer.Typer:
    """Build the application of all commands."""
    app = typer.Typer(
        name="realtime",
        help="Run, watch and change realtime clusters on this machine and on Kubernetes.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global)
    rollouts = typer.Typer(
        help="Follow, pause, restart and undo rollouts.", no_args_is_help=True, rich_markup_mode="rich"
    )
    secrets = typer.Typer(help="Rotate the generated credentials.", no_args_is_help=True, rich_markup_mode="rich")
    _add(app, RUN, up.up, init.init, convert.convert, demo.demo)
    _add_with_target(app, LOOK, status.status, status.get, status.describe, plan.plan)
    _add_with_target(app, LOOK, top.top, top.logs, probe.probe, doctor.doctor)
    app.add_typer(rollouts, name="rollout", rich_help_panel=CHANGE)
    app.add_typer(secrets, name="credentials", rich_help_panel=CHANGE)
    _add_with_target(app, CHANGE, rollout.drain, rollout.shed, rollout.scale)
    _add_with_target(app, CHANGE, backup.export, backup.import_)
    _add_with_target(app, MESSAGES, server_api.publish, server_api.subscribe, server_api.presence, server_api.history)
    _add_with_target(app, MESSAGES, server_api.info, server_api.disconnect, tokens.token)
    _add_with_target(app, MESSAGES, socket_io.emit, socket_io.sockets)
    _add_with_target(rollouts, None, rollout.rollout_status, rollout.rollout_pause, rollout.rollout_resume)
    _add_with_target(rollouts, None, rollout.rollout_restart, rollout.rollout_undo, rollout.rollout_history)
    _add_with_target(secrets, None, credentials.credentials_rotate)
    return app


def _add(app: typer.Typer, panel: str | None, *functions: Callable[..., None]) -> None:
    for function in functions:
        name = function.__name__.removeprefix("rollout_").removeprefix("credentials_").removesuffix("_")
        app.command(name, help=help_of(function), rich_help_panel=panel)(function)


def _add_with_target(app: typer.Typer, panel: str | None, *functions: Callable[..., Awaitable[int | None]]) -> None:
    _add(app, panel, *map(with_target, functions))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("realtime-operator"))
        raise typer.Exit


def _global(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command (`arguments` None: the process's own); return its exit code."""
    name = "kubectl realtime" if as_plugin() else "realtime"
    try:
        build_app()(args=arguments, prog_name=name)
    except (OperatorError, InvalidCluster, PatchError) as error:
        say(f"error: {error}", "red")
        return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)
    except BrokenPipeError:
        # The reader of the output has ended, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except Exception as error:
        # Last resort: users get a sentence about a defect, and developers a stack trace with the variable.
        if ENV_DEBUG in os.environ:
            raise
        say(
            f"error: a bug in this program: {type(error).__name__}: {error}; {ENV_DEBUG}=1 shows the stack trace", "red"
        )
        return DEFECT
    return 0


if __name__ == "__main__":
    sys.exit(main())
