"""Command line: `realtime-server run | check-config | print-defaults | print-openapi | drain [--config FILE]`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from realtime_server import log
from realtime_server.settings import ENV_CONFIG, Settings, SettingsError

EXIT_CONFIG = 2
"""Exit code for a configuration that cannot be used."""
ENV_KUBERNETES = "KUBERNETES_SERVICE_HOST"
"""Environment variable that Kubernetes sets in every container."""
NO_IGNORED_TOKENS = (
    "error: --ignore-tokens: lets every client do everything; on a developer's machine, set development to true in the"
    " configuration; in production, leave this option out"
)
NO_IGNORED_TOKENS_IN_A_POD = (
    f"error: --ignore-tokens: lets every client do everything, which is refused in Kubernetes (${ENV_KUBERNETES} is"
    " set); to let clients connect without a token, set auth.anonymous"
)


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.load(_path(options.config))
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command speaks
        return EXIT_CONFIG
    if options.command == "print-defaults":
        print(Settings().model_dump_json(indent=2))  # noqa: T201 - a command speaks
        return 0
    if options.command == "check-config":
        print(settings.model_dump_json(indent=2))  # noqa: T201 - a command speaks
        return 0
    if options.command == "print-openapi":
        from realtime_server.admin import openapi

        print(openapi.encoded().decode(), end="")  # noqa: T201 - a command speaks
        return 0
    if options.command == "drain":
        from realtime_server.admin import drain_command

        return drain_command.run(settings)
    refusal = _refusal(settings) if options.ignore_tokens else None
    if refusal is not None:
        print(refusal, file=sys.stderr)  # noqa: T201 - a command speaks
        return EXIT_CONFIG
    from realtime_server import supervisor
    from realtime_server.app import RunOptions

    log.configure()
    return supervisor.run(settings, RunOptions(ignore_tokens=options.ignore_tokens))


def _refusal(settings: Settings) -> str | None:
    """Return the message that refuses --ignore-tokens here, or None.

    The operator never sets `development`; `realtime up` always does.
    """
    if os.environ.get(ENV_KUBERNETES):
        return NO_IGNORED_TOKENS_IN_A_POD
    return None if settings.development else NO_IGNORED_TOKENS


def _path(given: str | None) -> Path | None:
    name = given or os.environ.get(ENV_CONFIG)
    return Path(name) if name else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="realtime-server", description="A WebSocket server for realtime messages.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "run": "run the server until SIGTERM",
        "check-config": "check a configuration and print it with its defaults",
        "print-defaults": "print the default configuration",
        "print-openapi": "print the OpenAPI document of the server API; needs no configuration",
        "drain": "drain the server on this machine, as a pod does before it stops: all its connections move away",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--config",
            metavar="FILE",
            help=f"JSON file (default: the one named by ${ENV_CONFIG}, else defaults)",
        )
        if name == "run":
            ignore = "for development only: let every client do everything, with any token; needs development: true"
            command.add_argument("--ignore-tokens", action="store_true", help=ignore)
    return parser
