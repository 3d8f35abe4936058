"""Access to the webhook: names in the certificate, the path, and the trust in two authorities during a change."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1_certificate import KEY_AUTHORITY
from realtime_operator.planning.credentials.generated_certificate import next_issue
from realtime_operator.platforms.certificate_authority import issue
from realtime_operator.platforms.kubernetes.webhook_access import (
    KnownAuthority,
    hosts_of,
    path_in,
    trusted,
    with_access,
)
from tests.kit.chart import golden
from tests.kit.document import dig, objects_at

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATH = "/evictions/0123456789abcdef0123456789abcdef"
CONFIGURATION = next(m for m in golden("webhook") if m["kind"] == "ValidatingWebhookConfiguration")
AT_URL: JsonObject = {"webhooks": [{"name": "a", "clientConfig": {"url": "https://operator.example.com:9443"}}]}


def authority(now: datetime = NOW) -> bytes:
    """Return the certificate of a new authority."""
    action = next_issue({"metadata": {"name": "webhook"}}, ("localhost",), None, {}, now)
    assert action is not None
    return issue({}, action).values[KEY_AUTHORITY]


def bundle_of(webhooks: list[JsonObject]) -> bytes:
    """Return what a webhook is verified with."""
    return base64.b64decode(str(dig(webhooks[0], "clientConfig", "caBundle")))


def test_the_certificate_is_for_the_name_that_is_called() -> None:
    """The Service's, or the host of a URL."""
    assert hosts_of(CONFIGURATION) == ("realtime-operator-webhook.realtime-system.svc",)
    assert hosts_of(AT_URL) == ("operator.example.com",)


def test_the_path_stays_when_it_is_written() -> None:
    """Other processes of the operator read it from the configuration; the chart's has none."""
    assert path_in(CONFIGURATION) is None
    for configuration in (CONFIGURATION, AT_URL):
        webhooks = with_access(configuration, PATH, authority(), NOW)
        assert path_in({"webhooks": [*webhooks]}) == PATH
    assert path_in({"webhooks": [{"clientConfig": {"service": {"path": "/validate"}}}]}) is None
    assert dig(with_access(AT_URL, PATH, authority(), NOW)[0], "clientConfig", "url") == (
        f"https://operator.example.com:9443{PATH}"
    )


def test_nothing_but_the_access_is_changed_and_only_once() -> None:
    """All else is the chart's."""
    first = authority()
    webhooks = with_access(CONFIGURATION, PATH, first, NOW)
    (before,) = objects_at(CONFIGURATION, "webhooks")
    assert {**webhooks[0], "clientConfig": None} == {**before, "clientConfig": None}
    assert with_access({"webhooks": [*webhooks]}, PATH, first, NOW) == webhooks


def test_a_former_authority_is_trusted_beside_the_new_one() -> None:
    """One alone, and only while it is valid: others may still answer with a certificate of it."""
    first, second, third = authority(), authority(), authority()
    webhooks = with_access(CONFIGURATION, PATH, first, NOW)
    assert bundle_of(webhooks) == first
    webhooks = with_access({"webhooks": [*webhooks]}, PATH, second, NOW)
    assert bundle_of(webhooks) == second + first
    assert with_access({"webhooks": [*webhooks]}, PATH, second, NOW) == webhooks
    assert bundle_of(with_access({"webhooks": [*webhooks]}, PATH, third, NOW)) == third + second
    assert trusted(second + first, second, NOW + timedelta(days=4000)) == second


@pytest.mark.parametrize("order", [(0, 1, 1, 0), (0, 1, 0, 1), (1, 0, 0, 1)], ids=str)
def test_every_process_uses_a_new_authority_one_look_after_it_saw_it(order: tuple[int, ...]) -> None:
    """The one that writes it, and one that finds it written a moment ago: the API server may not know it yet."""
    first, second = authority(), authority()
    webhooks = with_access(CONFIGURATION, PATH, first, NOW)
    processes = (KnownAuthority(), KnownAuthority())
    for process in processes:
        process.look(first, announced=True)
    looks = [0, 0]
    for index in order:
        before, webhooks = webhooks, with_access({"webhooks": [*webhooks]}, PATH, second, NOW)
        looks[index] += 1
        assert processes[index].look(second, announced=before == webhooks) is (looks[index] == 2)


def test_a_renewed_certificate_of_a_known_authority_is_used_at_once() -> None:
    """The API server verifies the authority alone; one that was taken out of the configuration is announced again."""
    made, known = authority(), KnownAuthority()
    looks = [known.look(made, announced=announced) for announced in (False, True, True, False, True)]
    assert looks == [False, True, True, False, True]


def test_what_is_no_certificate_is_replaced() -> None:
    """A bundle that somebody has edited."""
    made = authority()
    for bundle in (b"", b"no certificate", made[:100]):
        assert trusted(bundle, made, NOW) == made
