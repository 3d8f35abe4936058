"""Metrics of the server API."""

from __future__ import annotations

from realtime_server.admin.api_metrics import ApiCollector, ApiUsage


def test_usage_is_shown_by_method() -> None:
    """Calls are counted by method; unknown methods share one label value."""
    usage = ApiUsage(("publish",))
    for method in ("publish", "invented", "other"):
        usage.count(method, 200)
        usage.fail(method, 104)
        usage.observe(method, 0.002)
    found = {
        (sample.name.removeprefix("realtime_server_api_"), *sorted(sample.labels.items())): sample.value
        for family in ApiCollector(usage, 3).collect()
        for sample in family.samples
    }
    for method, count in (("publish", 1), ("unknown", 2)):
        named, worker = ("method", method), ("worker", "3")
        assert found["requests_total", named, ("status", "200"), worker] == count
        assert found["errors_total", ("code", "104"), named, worker] == count
        assert found["seconds_bucket", ("le", "0.001"), named, worker] == 0
        assert found["seconds_bucket", ("le", "0.0025"), named, worker] == count
