"""Panels of the dashboard: each a question, and the queries that answer it."""

from __future__ import annotations

from dataclasses import dataclass

from realtime_operator.monitoring.scope import BY_CLUSTER, Scope, by

SERVER, OPERATOR = "realtime_server", "realtime_operator"
RATE = "[$__rate_interval]"
"""Range of rates; Grafana replaces it by one that fits the interval of the scrapes."""


@dataclass(frozen=True, slots=True)
class Query:
    """Query with the name of its lines; `{{label}}` stands for the value of a label."""

    legend: str
    expression: str


@dataclass(frozen=True, slots=True)
class Panel:
    """Panel with a name for files, a title, a unit as Grafana names it, and what the reader should know."""

    name: str
    title: str
    unit: str
    description: str
    queries: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Row of panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


def rows(of: Scope) -> tuple[Row, ...]:
    """Return all rows for the clusters of a scope."""
    return (
        Row("Clients", _clients(of)),
        Row("Messages", _messages(of)),
        Row("Servers", _servers(of)),
        Row("Redis", _redis(of)),
        Row("Operator", _operator(of)),
    )


def rate_by(of: Scope, metric: str, *labels: str) -> str:
    """Return the query of a counter's rate, by cluster and labels."""
    return f"sum {by(*labels)} (rate({of(metric)}{RATE}))"


def quantile(of: Scope, part: float, histogram: str) -> str:
    """Return the query of a quantile of a histogram in seconds."""
    return f"histogram_quantile({part}, sum {by('le')} (rate({of(f'{histogram}_bucket')}{RATE})))"


def _clients(of: Scope) -> tuple[Panel, ...]:
    return (
        Panel(
            "connections", "Connections", "short", "Current connections of each server.",
            (Query("{{instance}}", f"sum {by('instance')} ({of(f'{SERVER}_connections')})"),),
        ),
        Panel(
            "connects", "Connects", "reqps", "Connects that succeeded, and those that failed by code.",
            (
                Query("succeeded", rate_by(of, f"{SERVER}_connects_total")),
                Query("failed: {{code}}", rate_by(of, f"{SERVER}_connects_failed_total", "code")),
            ),
        ),
        Panel(
            "disconnects", "Disconnects", "reqps", "Closed connections by code; 3000 is the client's own wish.",
            (Query("{{code}}", rate_by(of, f"{SERVER}_disconnects_total", "code")),),
        ),
        Panel(
            "limits", "Exceeded limits", "reqps", "How often each limit was exceeded.",
            (Query("{{limit}}", f"{rate_by(of, f'{SERVER}_limit_exceeded_total', 'limit')} > 0"),),
        ),
    )  # fmt: skip


def _messages(of: Scope) -> tuple[Panel, ...]:
    roundtrip, delivery = f"{SERVER}_backplane_roundtrip_seconds", f"{SERVER}_delivery_seconds"
    return (
        Panel(
            "messages", "Messages", "reqps", "Publications accepted, and messages from and to clients.",
            (
                Query("publications", rate_by(of, f"{SERVER}_publications_total")),
                Query("from clients", rate_by(of, f"{SERVER}_messages_received_total")),
                Query("to clients", rate_by(of, f"{SERVER}_messages_sent_total")),
            ),
        ),
        Panel(
            "delivery", "Time through the backplane", "s",
            "Round trip: from a worker through Redis to itself. Accept: until Redis has a publication.",
            (
                Query("round trip, p50", quantile(of, 0.5, roundtrip)),
                Query("round trip, p99", quantile(of, 0.99, roundtrip)),
                Query("accept, p99", quantile(of, 0.99, delivery)),
            ),
        ),
        Panel(
            "recoveries", "Recoveries", "reqps", "Clients that came back, by whether they got all that they missed.",
            (Query("recovered: {{recovered}}", rate_by(of, f"{SERVER}_recoveries_total", "recovered")),),
        ),
        Panel(
            "api", "Server API", "reqps", "Calls by method and HTTP status.",
            (Query("{{method}} {{status}}", rate_by(of, f"{SERVER}_api_requests_total", "method", "status")),),
        ),
    )  # fmt: skip


def _servers(of: Scope) -> tuple[Panel, ...]:
    held = f"sum {by('instance')} ({of(f'{SERVER}_connections')})"
    most = f"sum {by('instance')} ({of(f'{SERVER}_connections_limit')})"
    return (
        Panel(
            "cpu", "CPU", "short", "CPUs that each server uses.",
            (Query("{{instance}}", rate_by(of, f"{SERVER}_cpu_seconds_total", "instance")),),
        ),
        Panel(
            "memory", "Memory", "bytes", "Resident memory of each server's workers; shared pages count for each.",
            (Query("{{instance}}", f"sum {by('instance')} ({of(f'{SERVER}_memory_bytes')})"),),
        ),
        Panel(
            "capacity", "Capacity in use", "percentunit", "Connections in relation to the limit, the fullest server.",
            (Query("connections", f"max {BY_CLUSTER} ({held} / {most})"),),
        ),
        Panel(
            "outbox", "Bytes that wait for clients", "bytes", "What clients have not read yet.",
            (Query("{{instance}}", f"sum {by('instance')} ({of(f'{SERVER}_outbox_bytes')})"),),
        ),
    )  # fmt: skip


def _redis(of: Scope) -> tuple[Panel, ...]:
    def used(name: str) -> str:
        return f"max {by('primary')} ({of(f'{SERVER}_redis_{name}')})"

    return (
        Panel(
            "backplane", "Servers without a link to Redis", "short", "Workers whose publications reach no other.",
            (Query("workers", f"sum {BY_CLUSTER} (1 - {of(f'{SERVER}_backplane_healthy')})"),),
        ),
        Panel(
            "redis-memory", "Memory of Redis", "bytes", "Memory in use and maxmemory.",
            (
                Query("used, {{primary}}", used("memory_bytes")),
                Query("limit, {{primary}}", used("memory_limit_bytes")),
            ),
        ),
        Panel(
            "redis-clients", "Connections to Redis", "short", "Of all its clients; each worker has two.",
            (Query("{{primary}}", used("clients")),),
        ),
    )  # fmt: skip


def _operator(of: Scope) -> tuple[Panel, ...]:
    conditions = of(f"{OPERATOR}_condition")
    return (
        Panel(
            "moves", "Connections to move", "short", "Connections on servers that are to be removed, and the budget.",
            (
                Query("to move", f"max {BY_CLUSTER} ({of(f'{OPERATOR}_connections_to_move')})"),
                Query("budget per second", f"max {BY_CLUSTER} ({of(f'{OPERATOR}_budget_connections_per_second')})"),
                Query("servers that drain", f"max {BY_CLUSTER} ({of(f'{OPERATOR}_draining_servers')})"),
            ),
        ),
        Panel(
            "conditions", "Conditions", "short", "1 for the status and reason that each condition has.",
            (Query("{{type}} {{status}} {{reason}}", f"max {by('type', 'status', 'reason')} ({conditions})"),),
        ),
        Panel(
            "reconciled", "Time since the last reconcile", "s", "A settled cluster is reconciled every 30 s.",
            (
                Query(
                    "{{realtime_cluster}}",
                    f"time() - max {BY_CLUSTER} ({of(f'{OPERATOR}_last_reconcile_timestamp_seconds')})",
                ),
            ),
        ),
        Panel(
            "reconciles", "Reconciles", "reqps", "Of all clusters of the operator, by result.",
            (Query("{{result}}", f"sum by (result) (rate({OPERATOR}_reconcile_total{RATE}))"),),
        ),
    )  # fmt: skip
