"""Alerts from the series of the servers."""

from __future__ import annotations

from realtime_operator.monitoring.alert import ABOUT, Alert
from realtime_operator.monitoring.scope import BY_CLUSTER, Scope, by

FAILED_PART = 0.5
"""Part of failing connects from which on clients count as unable to connect."""
FAILED_RATE = 0.05
"""Failing connects per second below which there are too few for a judgement."""
LATE_SECONDS = 0.5
UNRECOVERED_PART = 0.1
UNRECOVERED_ENOUGH = 10
NEAR_LIMIT = 0.85
EXCEEDED_RATE = 1
"""Times per second that a limit is exceeded from which on somebody should look."""
CERTIFICATE_SECONDS = 7 * 24 * 3600


def server_alerts(of: Scope) -> tuple[Alert, ...]:
    """Return the alerts about the clusters of a scope."""
    return (*_clients(of), *_messages(of), *_backplane(of), *_limits(of), *_dependencies(of))


def _clients(of: Scope) -> tuple[Alert, ...]:
    failed = f"sum {BY_CLUSTER} (rate({of('realtime_server_connects_failed_total')}[5m]))"
    connected = f"sum {BY_CLUSTER} (rate({of('realtime_server_connects_total')}[5m]))"
    not_ready = of("realtime_operator_condition", 'type="Ready"', 'status="False"', 'reason!="ScaledToZero"')
    return (
        Alert(
            name="RealtimeClientsCannotConnect",
            severity="critical",
            lasting="3m",
            summary=f"Clients of {ABOUT} cannot connect",
            description="{{ $value | humanizePercentage }} of the connects fail, or the cluster is not Ready.",
            runbook="clients-cannot-connect",
            expression=(
                f"({failed} / ({failed} + {connected}) > {FAILED_PART} and {failed} > {FAILED_RATE})\n"
                f"or max {BY_CLUSTER} ({not_ready}) == 1"
            ),
        ),
        Alert(
            name="RealtimeTokensIgnored",
            severity="critical",
            lasting="1m",
            summary=f"{ABOUT} lets every client do everything",
            description="A server runs in the development mode, which ignores tokens.",
            runbook="tokens-ignored",
            expression=f"max {BY_CLUSTER} ({of('realtime_server_tokens_ignored')}) == 1",
        ),
    )


def _messages(of: Scope) -> tuple[Alert, ...]:
    def p99(histogram: str) -> str:
        return f"histogram_quantile(0.99, sum {by('le')} (rate({of(f'{histogram}_bucket')}[5m])))"

    lost = of("realtime_server_recoveries_total", 'recovered="false"')
    recoveries = of("realtime_server_recoveries_total")
    return (
        Alert(
            name="RealtimeDeliveriesLate",
            severity="warning",
            lasting="5m",
            summary=f"Publications of {ABOUT} arrive late",
            description="The slowest hundredth takes {{ $value | humanizeDuration }} through the backplane.",
            runbook="deliveries-late",
            expression=(
                f"{p99('realtime_server_backplane_roundtrip_seconds')} > {LATE_SECONDS}\n"
                f"or {p99('realtime_server_delivery_seconds')} > {LATE_SECONDS}"
            ),
        ),
        Alert(
            name="RealtimeRecoveryFailing",
            severity="warning",
            lasting="1m",
            summary=f"Clients of {ABOUT} lose messages when they reconnect",
            description="{{ $value | humanizePercentage }} of the recoveries in ten minutes failed.",
            runbook="recovery-failing",
            expression=(
                f"sum {BY_CLUSTER} (rate({lost}[10m])) / sum {BY_CLUSTER} (rate({recoveries}[10m]))"
                f" > {UNRECOVERED_PART}\n"
                f"and sum {BY_CLUSTER} (increase({lost}[10m])) >= {UNRECOVERED_ENOUGH}"
            ),
        ),
    )


def _backplane(of: Scope) -> tuple[Alert, ...]:
    def part(name: str) -> str:
        use, limit = of(f"realtime_server_redis_{name}"), of(f"realtime_server_redis_{_limit_of(name)}")
        return f"max {by('primary')} ({use} / {limit}) > {NEAR_LIMIT}"

    return (
        Alert(
            name="RealtimeBackplaneDown",
            severity="critical",
            lasting="1m",
            summary=f"Servers of {ABOUT} do not reach each other",
            description="At least one server has no working link to Redis.",
            runbook="backplane-down",
            expression=f"min {BY_CLUSTER} ({of('realtime_server_backplane_healthy')}) == 0",
        ),
        Alert(
            name="RealtimeRedisNearLimit",
            severity="warning",
            lasting="5m",
            summary=f"Redis of {ABOUT} is near its limit",
            description="{{ $value | humanizePercentage }} of its memory or connections are in use.",
            runbook="redis-near-limit",
            expression=f"{part('memory_bytes')}\nor {part('clients')}",
        ),
    )


def _limit_of(name: str) -> str:
    return {"memory_bytes": "memory_limit_bytes", "clients": "clients_limit"}[name]


def _limits(of: Scope) -> tuple[Alert, ...]:
    held = f"sum {by('instance')} ({of('realtime_server_connections')})"
    most = f"sum {by('instance')} ({of('realtime_server_connections_limit')})"
    exceeded = of("realtime_server_limit_exceeded_total")
    return (
        Alert(
            name="RealtimeNoCapacity",
            severity="warning",
            lasting="5m",
            summary=f"A server of {ABOUT} is nearly full",
            description="It holds {{ $value | humanizePercentage }} of the connections that it accepts.",
            runbook="no-capacity",
            expression=f"max {BY_CLUSTER} ({held} / {most}) > {NEAR_LIMIT}",
        ),
        Alert(
            name="RealtimeLimitExceeded",
            severity="warning",
            lasting="5m",
            summary=f"Clients of {ABOUT} exceed the limit {{{{ $labels.limit }}}}",
            description="It is exceeded {{ $value | humanize }} times per second.",
            runbook="limit-exceeded",
            expression=f"sum {by('limit')} (rate({exceeded}[5m])) > {EXCEEDED_RATE}",
        ),
    )


def _dependencies(of: Scope) -> tuple[Alert, ...]:
    expiry = of("realtime_server_tls_certificate_expiry_timestamp_seconds")
    return (
        Alert(
            name="RealtimeHooksFailing",
            severity="warning",
            lasting="2m",
            summary=f"The backend of {ABOUT} does not answer the hook {{{{ $labels.hook }}}}",
            description="The circuit breaker of the hook is open on at least one server: no requests are sent.",
            runbook="hooks-failing",
            expression=f"max {by('hook')} ({of('realtime_server_hook_breaker_open')}) == 1",
        ),
        Alert(
            name="RealtimeCertificateExpires",
            severity="warning",
            lasting="5m",
            summary=f"The certificate of {ABOUT} expires soon",
            description="It is valid for {{ $value | humanizeDuration }} more.",
            runbook="certificate-expires",
            expression=f"min {BY_CLUSTER} ({expiry}) - time() < {CERTIFICATE_SECONDS}",
        ),
    )
