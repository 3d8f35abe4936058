"""The closed catalogue of reasons in conditions and Events. People read the messages, machines match the reasons."""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    """Types of the conditions in `.status.conditions`."""

    ACCEPTED = "Accepted"
    READY = "Ready"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    BACKPLANE_READY = "BackplaneReady"


class Reason(StrEnum):
    """Reasons of conditions and Events."""

    # Accepted; when it is False, the reason is that of the first finding (api/errors.py)
    VALID = "Valid"
    # Ready
    SERVERS_AVAILABLE = "ServersAvailable"
    SERVERS_UNAVAILABLE = "ServersUnavailable"
    SCALED_TO_ZERO = "ScaledToZero"
    BACKPLANE_UNAVAILABLE = "BackplaneUnavailable"
    # Progressing
    SETTLED = "Settled"
    CREATING = "Creating"
    ROLLING_UPDATE = "RollingUpdate"
    SCALING_UP = "ScalingUp"
    SCALING_DOWN = "ScalingDown"
    REPLACING = "ReplacingServers"
    PAUSED = "Paused"
    # Degraded
    AS_EXPECTED = "AsExpected"
    SERVER_CANNOT_START = "ServerCannotStart"
    SERVER_NOT_READY = "ServerNotReady"
    DRAIN_TIMED_OUT = "DrainTimedOut"
    SERVER_UNREACHABLE = "ServerUnreachable"
    # BackplaneReady
    CONNECTED = "Connected"
    STARTING = "Starting"
    DISCONNECTED = "Disconnected"
    NOT_MEASURED = "NotMeasured"
    # Events only
    ROLLOUT_STARTED = "RolloutStarted"
    ROLLOUT_COMPLETED = "RolloutCompleted"
    SCALED = "Scaled"
    QUIESCED = "Quiesced"
    RESUMED = "Resumed"
    DRAINING = "Draining"
    SERVER_REPLACED = "ServerReplaced"
