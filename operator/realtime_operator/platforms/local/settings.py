"""With what the local platform builds and decides."""

from __future__ import annotations

from importlib.metadata import version

from realtime_operator.builders import BuildSettings
from realtime_operator.planning.settings import PlannerSettings

SETTINGS = PlannerSettings(
    # Images mean nothing here: every server runs the release that is installed.
    BuildSettings(server_image="local", redis_image="local", operator_version=version("realtime-operator")),
    poll_seconds=0.25,
    autoscaling_poll_seconds=1.0,
)
