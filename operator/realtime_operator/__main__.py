"""`realtime-operator`: load the settings, lead, and keep clusters running."""

from __future__ import annotations

import sys

import uvloop

from realtime_operator import log
from realtime_operator.errors import OperatorError, SettingsError
from realtime_operator.handlers import lifecycle
from realtime_operator.settings import Settings


def main() -> int:
    """Run the operator; return 0 after SIGTERM, 1 after a failure, 2 when its settings are invalid."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - there is no logging yet
        return 2
    log.configure(settings.log_level, settings.log_format)
    try:
        return uvloop.run(lifecycle.run(settings))
    except OperatorError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the last word
        return 1


if __name__ == "__main__":
    sys.exit(main())
