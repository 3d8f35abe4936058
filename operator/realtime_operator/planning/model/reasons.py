"""The closed set of reasons of conditions and Events. People read messages, machines match reasons."""

from __future__ import annotations

from enum import StrEnum

FINDINGS_SEPARATOR = "; "
"""Separator of findings in the message of the condition Degraded."""


class ConditionType(StrEnum):
    """Types of the conditions in `.status.conditions`."""

    ACCEPTED = "Accepted"
    READY = "Ready"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    BACKPLANE_READY = "BackplaneReady"
    CREDENTIALS_KEPT = "CredentialsKept"
    ENDPOINT_READY = "EndpointReady"


class Reason(StrEnum):
    """Reasons of conditions and Events."""

    # Accepted; when it is False, the reason is that of the first finding (api/errors.py)
    VALID = "Valid"
    # Ready
    SERVERS_AVAILABLE = "ServersAvailable"
    SERVERS_UNAVAILABLE = "ServersUnavailable"
    SCALED_TO_ZERO = "ScaledToZero"
    BACKPLANE_UNAVAILABLE = "BackplaneUnavailable"
    ENDPOINT_UNAVAILABLE = "EndpointUnavailable"
    CLIENTS_REFUSED = "ClientsRefused"
    # Progressing
    SETTLED = "Settled"
    CREATING = "Creating"
    ROLLING_UPDATE = "RollingUpdate"
    SCALING_UP = "ScalingUp"
    SCALING_DOWN = "ScalingDown"
    REPLACING = "ReplacingServers"
    CHANGING_REDIS = "ChangingRedis"
    RETRYING = "Retrying"
    WAITING_FOR_WINDOW = "WaitingForWindow"
    WAITING_FOR_SLOT = "WaitingForSlot"
    PAUSED = "Paused"
    OPERATOR_PAUSED = "OperatorPaused"
    HELD = "MovesHeld"
    DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    CANARY_HOLDING = "CanaryHolding"
    ROLLING_BACK = "RollingBack"
    GATE_FAILED = "GateFailed"
    # why moves are held (.status.hold), beside BackplaneUnavailable
    OBSERVATION_STALE = "ObservationStale"
    JUST_CONNECTED = "JustConnected"
    STATUS_REFUSED = "StatusRefused"
    FLEET_UNREADY = "FleetUnready"
    MOVED_NOT_ARRIVING = "MovedNotArriving"
    PLAN_REJECTED = "PlanRejected"
    # Degraded
    AS_EXPECTED = "AsExpected"
    NAME_TAKEN = "NameTaken"
    WRITE_REFUSED = "WriteRefused"
    PODS_REFUSED = "PodsRefused"
    KIND_NOT_SERVED = "KindNotServed"
    REDIS_CANNOT_START = "RedisCannotStart"
    REDIS_CHANGE_FAILS = "RedisChangeFails"
    REDIS_NOT_READY = "RedisNotReady"
    REDIS_NEARLY_FULL = "RedisNearlyFull"
    SERVER_CANNOT_START = "ServerCannotStart"
    SERVER_NOT_READY = "ServerNotReady"
    DRAIN_TIMED_OUT = "DrainTimedOut"
    SERVER_UNREACHABLE = "ServerUnreachable"
    # BackplaneReady
    CONNECTED = "Connected"
    STARTING = "Starting"
    DISCONNECTED = "Disconnected"
    NOT_MEASURED = "NotMeasured"
    # CredentialsKept
    UNCHANGED = "Unchanged"
    ROTATING = "Rotating"
    REPLACED = "Replaced"
    MISSING = "Missing"
    # EndpointReady, beside EndpointUnavailable and KindNotServed
    ENDPOINT_AVAILABLE = "EndpointAvailable"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    ROUTE_NOT_RESOLVED = "RouteNotResolved"
    ROUTE_PENDING = "RoutePending"
    ADDRESS_PENDING = "AddressPending"
    # Events only
    ROLLOUT_STARTED = "RolloutStarted"
    ROLLOUT_COMPLETED = "RolloutCompleted"
    CANARY_STEP_STARTED = "CanaryStepStarted"
    CANARY_PASSED = "CanaryPassed"
    SCALED = "Scaled"
    QUIESCED = "Quiesced"
    RESUMED = "Resumed"
    MOVES_RESUMED = "MovesResumed"
    DRAINING = "Draining"
    SERVER_REPLACED = "ServerReplaced"
    CREDENTIALS_ROTATED = "CredentialsRotated"
