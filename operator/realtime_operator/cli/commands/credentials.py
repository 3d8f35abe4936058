"""`credentials rotate`: replaces the generated credentials of a cluster."""

from __future__ import annotations

from datetime import UTC, datetime

from realtime_operator import naming
from realtime_operator.builders.credentials_secret import rotated_keys
from realtime_operator.cli.command import ClusterOption
from realtime_operator.cli.output import show
from realtime_operator.cli.target import Target, find, name_of, read_cluster
from realtime_operator.planning.credentials.rotation import GRACE, PROPAGATION


async def credentials_rotate(target: Target, cluster: ClusterOption = None) -> None:
    """Replace the generated credentials while the former values stay valid, so that nobody is refused.

    The Secret has new values after a few minutes. Give them to your backends within a day.
    For credentials that have leaked, which must end at once, see docs/runbooks/rotate-credentials.md.

    Examples:
      kubectl realtime credentials rotate -c chat

    """
    found = await find(target, cluster)
    name = name_of(found)
    await target.annotate(name, {naming.ANNOTATION_ROTATE: datetime.now(UTC).isoformat(timespec="milliseconds")})
    keys = ", ".join(rotated_keys(read_cluster(found)))
    show(f"{name}: a rotation of {keys} is requested")
    show(
        f"Secret {naming.credentials_secret(name)} has the new values after about"
        f" {PROPAGATION.total_seconds() / 60:g} minutes, and the former ones are accepted for"
        f" {GRACE.total_seconds() / 3600:g} hours from then on; the condition CredentialsKept shows the progress"
    )
