"""The Secret with the certificate that the operator makes for a managed Redis, in folders as the kubelet mounts it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_certificate import KEY_CERTIFICATE
from realtime_operator.builders import build_redis_certificate_secret
from realtime_operator.builders.redis.tls_options import FILES
from realtime_operator.planning.model.plan import IssueCertificate
from realtime_operator.planning.model.world import World
from realtime_operator.planning.redis.certificate import next_certificate
from realtime_operator.platforms.certificate_authority import Issued, issue
from tests.kit.manifests import cluster_of

WITH_TLS: JsonObject = {"backplane": {"redis": {"managed": {"tls": {}}}}}


def order(cluster: RealtimeCluster | None = None, now: datetime | None = None) -> IssueCertificate:
    """Return what the planner wants for a new cluster."""
    cluster = cluster or cluster_of(WITH_TLS)
    template = build_redis_certificate_secret(cluster)
    assert template is not None
    action = next_certificate(cluster, template, World({}, ()), now or datetime.now(UTC))
    assert isinstance(action, IssueCertificate)
    return action


class GeneratedCertificates:
    """Values of the Secret; `renew` issues another certificate by the same authority."""

    def __init__(self) -> None:
        self.issued: Issued = issue({}, order())
        self._mounts = 0

    def renew(self) -> None:
        """Issue another certificate."""
        self.issued = issue(self.issued.values, order())

    @property
    def serial_number(self) -> int:
        """Serial number of the certificate."""
        return x509.load_pem_x509_certificate(self.issued.values[KEY_CERTIFICATE]).serial_number

    def mount(self, folder: Path) -> None:
        """Put the files that pods mount into a folder by one rename."""
        self._mounts += 1
        folder.mkdir(exist_ok=True)
        version = folder / f"..{self._mounts}"
        version.mkdir()
        for name in FILES:
            (version / name).write_bytes(self.issued.values[name])
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(Path("..data") / name)
        link = folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(folder / "..data")
