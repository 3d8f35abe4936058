"""The reference has what the code has: each closed catalogue is documented, whole and with nothing else."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from prometheus_client.registry import Collector

from realtime_operator import naming
from realtime_operator.api.errors import FindingReason
from realtime_operator.metrics import Metrics
from realtime_operator.planning.model.reasons import ConditionType, Reason
from realtime_operator.settings import PREFIX
from realtime_operator.settings import Settings as OperatorSettings
from realtime_server import codes
from realtime_server.admin.api_metrics import ApiCollector, ApiUsage
from realtime_server.app import client_port_settings, make_node
from realtime_server.backplane.redis_usage import UsageCollector
from realtime_server.codes import DisconnectCode, ErrorCode, UnsubscribeCode
from realtime_server.core.limits.limit import Limit
from realtime_server.hooks.hook_metrics import HookCollector
from realtime_server.hooks.http_backend import HttpBackend
from realtime_server.keys.http_document import HttpDocument, Source
from realtime_server.keys.key_metrics import KeysCollector
from realtime_server.keys.remote_keys import PublishedKeys
from realtime_server.message_brokers.consumer_metrics import ConsumerCollector
from realtime_server.metrics import ClientPortCollector, EmitterCollector, NodeCollector
from realtime_server.settings import Settings
from realtime_server.tracing.exporter import ExportUsage
from realtime_server.tracing.sampler import BoundedSampler
from realtime_server.tracing.tracing_metrics import TracingCollector
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.client_port import ClientPort

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def section(document: str, heading: str) -> str:
    """The text under a heading, up to the next one of the same level."""
    text = (REFERENCE / document).read_text()
    _, _, rest = text.partition(f"\n## {heading}\n")
    assert rest, f"{document} has no section {heading}"
    return rest.partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all rows of the tables in a text."""
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def catalogue() -> list[ErrorCode | DisconnectCode | UnsubscribeCode]:
    """All codes, by number."""
    kinds = (ErrorCode, DisconnectCode, UnsubscribeCode)
    return sorted((value for value in vars(codes).values() if isinstance(value, kinds)), key=lambda value: value.code)


def test_errors_are_documented() -> None:
    """error-codes.md has every error with its message and whether it is temporary."""
    expected = [
        [str(error.code), error.message, "yes" if error.temporary else ""]
        for error in catalogue()
        if isinstance(error, ErrorCode)
    ]
    assert [row[:3] for row in rows(section("error-codes.md", "Errors in replies"))[1:]] == expected


def test_disconnects_are_documented() -> None:
    """error-codes.md has every disconnect with its reason and whether an SDK comes back."""
    expected = [
        [str(code.code), code.reason, "yes" if code.reconnect else "no"]
        for code in catalogue()
        if isinstance(code, DisconnectCode)
    ]
    assert [row[:3] for row in rows(section("error-codes.md", "Disconnects"))[1:]] == expected


def test_unsubscribes_are_documented() -> None:
    """error-codes.md has every code that ends a subscription, and whether an SDK subscribes again."""
    expected = [
        [str(code.code), code.reason, "yes" if code.resubscribe else "no"]
        for code in catalogue()
        if isinstance(code, UnsubscribeCode)
    ]
    assert [row[:3] for row in rows(section("error-codes.md", "Unsubscribes"))[1:]] == expected


def test_reasons_are_documented() -> None:
    """conditions-and-events.md has every condition type and every reason."""
    text = (REFERENCE / "conditions-and-events.md").read_text()
    named = set(re.findall(r"`(\w+)`", text))
    assert {reason.value for reason in (*Reason, *FindingReason)} <= named
    assert set(ConditionType) == set(re.findall(r"^### (\w+)$", text, flags=re.MULTILINE))


def test_annotations_are_documented() -> None:
    """conditions-and-events.md has every annotation that people or the operator set."""
    documented = {
        name
        for row in rows(section("conditions-and-events.md", "Annotations"))
        for name in re.findall(r"`([\w.-]+/[\w-]+)`", row[0])
    }
    assert documented == {value for name, value in vars(naming).items() if name.startswith("ANNOTATION_")}


def test_defaults_of_the_server_are_documented() -> None:
    """server-config.md shows exactly the configuration that an empty file means."""
    block = re.search(r"^```json\n(.*?)^```$", section("server-config.md", "File"), flags=re.MULTILINE | re.DOTALL)
    assert block is not None
    assert json.loads(block.group(1)) == json.loads(Settings().model_dump_json())


async def test_metrics_of_the_server_are_documented() -> None:
    """server-metrics.md has every metric of a worker, that of a certificate, and the supervisor's own one."""
    node = make_node(Settings())
    collectors: list[Collector] = [
        NodeCollector(node, 0),
        ClientPortCollector(ClientPort(node, client_port_settings(Settings()), (), Flusher(lambda _flush: None, 1)), 0),
        ApiCollector(ApiUsage(()), 0),
        HookCollector(HttpBackend({}, None), 0),
        UsageCollector(dict, 0),
        ConsumerCollector([], 0),
        TracingCollector(ExportUsage(), BoundedSampler(1), 0),
        KeysCollector(PublishedKeys(HttpDocument(Source("https://id.example/keys"))), 0),
        EmitterCollector(Counter(), Counter(), lambda: True, 0),
    ]
    families = [family for collector in collectors for family in collector.collect()]
    names = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    text = (REFERENCE / "server-metrics.md").read_text().partition("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)", text, flags=re.MULTILINE))
    elsewhere = {
        "realtime_server_worker_restarts_total",
        "realtime_server_tls_certificate_expiry_timestamp_seconds",
        "realtime_server_api_tls_certificate_expiry_timestamp_seconds",
    }
    assert documented == names | elsewhere


def test_limits_are_documented() -> None:
    """limits.md has every limit, and a test exceeds each."""
    text = (REFERENCE / "limits.md").read_text().partition("\n## ")[0]
    table = re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)
    tests = (REFERENCE.parents[1] / "tests" / "component" / "server" / "test_limits.py").read_text()
    assert table == list(Limit)
    assert [limit for limit in Limit if not re.search(rf"counts\([^)]*\b{limit}=", tests)] == []


def test_settings_of_the_operator_are_documented() -> None:
    """operator-settings.md has every variable with its default."""
    documented = {
        row[0].strip("`"): row[1].strip("`") for row in rows(section("operator-settings.md", "Variables"))[1:]
    }
    assert set(documented) == {f"{PREFIX}{name.upper()}" for name in OperatorSettings.model_fields}
    for name, field in OperatorSettings.model_fields.items():
        if field.default and not field.is_required() and field.default_factory is None:
            assert documented[f"{PREFIX}{name.upper()}"] == str(field.default)


def test_metrics_of_the_operator_are_documented() -> None:
    """operator-settings.md has every metric of the operator."""
    names = {
        f"{family.name}_total" if family.type == "counter" else family.name for family in Metrics().registry.collect()
    }
    documented = re.findall(r"^\| `(\w+)", section("operator-settings.md", "Metrics"), flags=re.MULTILINE)
    assert set(documented) == names
