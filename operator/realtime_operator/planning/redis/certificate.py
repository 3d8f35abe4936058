"""The certificate that the operator makes for the managed Redis, and the metadata of its Secret. Pure."""

from __future__ import annotations

from datetime import datetime

from realtime_operator.api.document import text_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import SecretTemplate, redis_hosts
from realtime_operator.planning.credentials.generated_certificate import next_issue, read_record, with_record
from realtime_operator.planning.model.difference import contains
from realtime_operator.planning.model.plan import EnsureSecret, IssueCertificate
from realtime_operator.planning.model.world import World, object_key


def next_certificate(
    cluster: RealtimeCluster, template: SecretTemplate, world: World, now: datetime
) -> IssueCertificate | EnsureSecret | None:
    """Return the action on the Secret of the template; None when its certificate is valid for long enough."""
    key = object_key(template.manifest)
    live, present = world.objects.get(key), world.secrets.get(key.name, {})
    issue = next_issue(template.manifest, redis_hosts(cluster), live, present, now)
    if issue is not None or live is None:
        return issue
    record = read_record(live)
    if record is not None and not contains(live, template.manifest):
        return EnsureSecret(with_record(template.manifest, record), template.keys, text_at(live, "metadata", "uid"))
    return None
