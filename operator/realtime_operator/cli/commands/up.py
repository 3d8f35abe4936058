"""`up`: runs a cluster on this machine, in the foreground."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from realtime_operator import log, naming
from realtime_operator.cli.command import PANEL, StateDirOption
from realtime_operator.cli.commands.plan import FileNameOption
from realtime_operator.platforms.local.server_files import Ports
from realtime_operator.platforms.local.state_folder import default_path


def up(
    file: Annotated[Path, typer.Option("-f", "--file", help="YAML file with the RealtimeCluster.", dir_okay=False)],
    name: FileNameOption = None,
    state_dir: StateDirOption = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.", rich_help_panel=PANEL)] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Port for clients.", rich_help_panel=PANEL)
    ] = naming.PORT_CLIENT,
    api_port: Annotated[
        int, typer.Option("--api-port", min=1, max=65535, help="Port for the server API.", rich_help_panel=PANEL)
    ] = naming.PORT_API,
    ignore_tokens: Annotated[
        bool,
        typer.Option(
            "--ignore-tokens", help="Development only: let every client do everything, with any token or none."
        ),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log every decision.")] = False,
) -> None:
    """Run a cluster on this machine, with servers and Redis as processes. Needs no Kubernetes, no Docker and no root.

    Save a change of the file, and it is rolled out as on Kubernetes. Ctrl-C drains all servers and
    then ends everything; a second Ctrl-C ends everything at once.

    Examples:
      realtime up -f chat.yaml
      realtime up -f chat.yaml --port 9000 --api-port 9001 --state-dir /tmp/chat

    """
    from realtime_operator.cli.foreground import run_in_foreground
    from realtime_operator.cli.local_run import LocalOptions

    log.configure("info" if verbose else "warning", "text")
    options = LocalOptions(file, state_dir or default_path(), Ports(host, port, api_port), name, ignore_tokens)
    asyncio.run(run_in_foreground(options))
