"""Tests of the certificate that the operator makes for Redis: when it is made, renewed and repaired."""

from __future__ import annotations

from datetime import timedelta

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.planning.credentials.generated_certificate import (
    AUTHORITY_LIFETIME,
    AUTHORITY_RENEW_BEFORE,
    LIFETIME,
    RENEW_BEFORE,
    CertificateRecord,
    read_record,
)
from realtime_operator.planning.model.plan import ApplyObject, CreateObject, EnsureSecret, IssueCertificate
from realtime_operator.planning.model.world import ObjectKey
from tests.kit.document import dig, object_at
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform
from tests.unit.realtime_operator.planning.simulation import START

SECRET = ObjectKey("v1", "Secret", "main-redis-tls")
REDIS = ObjectKey("apps/v1", "StatefulSet", "main-redis")
RECORD = CertificateRecord(("a",), START, START + timedelta(days=1), "d")


@pytest.fixture
def platform() -> MemoryPlatform:
    """A settled cluster whose Redis has TLS."""
    made = MemoryPlatform({"replicas": 1, "backplane": {"redis": {"managed": {"tls": {}}}}})
    made.settle()
    return made


def issued(platform: MemoryPlatform) -> list[IssueCertificate]:
    """Return the certificates that the next reconcile issues."""
    return [action for action in platform.decide().actions if isinstance(action, IssueCertificate)]


def test_it_is_made_before_anything_that_mounts_it() -> None:
    """Servers are made when it is there, and Redis may wait for it."""
    platform = MemoryPlatform({"backplane": {"redis": {"managed": {"tls": {}}}}})
    first = platform.decide().actions
    (action,) = (one for one in first if isinstance(one, IssueCertificate))
    assert not any(isinstance(one, CreateObject | ApplyObject) for one in first[: first.index(action)])
    assert "main-redis-2.main-redis-nodes.test.svc" in action.names
    platform.settle()
    assert naming.ANNOTATION_CERTIFICATE in object_at(platform.objects[SECRET], "metadata", "annotations")


def test_servers_of_a_running_cluster_are_replaced_for_it() -> None:
    """They connect otherwise: `tls: {}` is another revision, and the one before is not taken from the history."""
    platform = MemoryPlatform({"replicas": 1, "backplane": {"redis": {"managed": {}}}})
    platform.settle()
    before = dig(platform.status, "targetRevision")
    platform.change(backplane={"redis": {"managed": {"tls": {}}}})
    platform.settle()
    with_tls = dig(platform.status, "currentRevision")
    assert with_tls != before
    platform.change(backplane={"redis": {"managed": {}}})
    platform.settle()
    assert dig(platform.status, "currentRevision") not in {with_tls, None}


def test_it_is_renewed_a_month_before_its_end(platform: MemoryPlatform) -> None:
    """The authority stays, until a year before its own end."""
    made = read_record(platform.objects[SECRET])
    assert made is not None
    platform.life.now += (LIFETIME - RENEW_BEFORE).total_seconds() - 3600
    assert issued(platform) == []
    platform.life.now += 7200
    (action,) = issued(platform)
    assert not action.renews_authority
    platform.settle()
    assert issued(platform) == []
    platform.life.now += (AUTHORITY_LIFETIME - AUTHORITY_RENEW_BEFORE).total_seconds()
    (action,) = issued(platform)
    assert action.renews_authority


@pytest.mark.parametrize("key", ["ca.crt", "ca.key", "tls.crt", "tls.key"])
def test_values_of_others_are_replaced(platform: MemoryPlatform, key: str) -> None:
    """An edited or a missing value would be found out at the next connection only."""
    original = platform.secrets[SECRET.name][key]
    platform.secrets[SECRET.name][key] = "f" * 64
    assert len(issued(platform)) == 1
    platform.secrets[SECRET.name][key] = original
    assert issued(platform) == []
    del platform.secrets[SECRET.name][key]
    assert len(issued(platform)) == 1


def test_a_deleted_secret_or_record_is_made_anew(platform: MemoryPlatform) -> None:
    """Without the record nothing is known about the values."""
    metadata = object_at(platform.objects[SECRET], "metadata")
    object_at(metadata, "annotations").pop(naming.ANNOTATION_CERTIFICATE)
    assert len(issued(platform)) == 1
    platform.delete(SECRET)
    (action,) = issued(platform)
    assert action.uid is None


def test_other_labels_keep_the_certificate(platform: MemoryPlatform) -> None:
    """Its Secret is applied with the record and the values that it has."""
    before = dict(platform.secrets[SECRET.name])
    platform.change(commonMetadata={"labels": {"team": "chat"}})
    decided = platform.decide().actions
    (action,) = (a for a in decided if isinstance(a, EnsureSecret) and a.keys == tuple(sorted(before)))
    assert read_record(action.manifest) == read_record(platform.objects[SECRET])
    platform.settle()
    assert platform.secrets[SECRET.name] == before


def test_a_secret_of_the_user_is_left_alone() -> None:
    """The operator issues nothing then."""
    tls: JsonObject = {"secretRef": {"name": "own"}}
    platform = MemoryPlatform({"backplane": {"redis": {"managed": {"tls": tls}}}})
    platform.secrets["own"] = dict.fromkeys(("ca.crt", "tls.crt", "tls.key"), "0" * 64)
    platform.settle()
    assert SECRET not in platform.objects


WITHOUT_ZONE = RECORD.annotation().replace('Z"', '"')


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json", WITHOUT_ZONE])
def test_an_unreadable_record_is_none(text: str) -> None:
    """Whoever edits it gets another certificate."""
    assert read_record({"metadata": {"annotations": {naming.ANNOTATION_CERTIFICATE: text}}}) is None


def test_a_record_is_read_as_it_was_written() -> None:
    """It is JSON in an annotation."""
    annotations: JsonObject = {naming.ANNOTATION_CERTIFICATE: RECORD.annotation()}
    assert read_record({"metadata": {"annotations": annotations}}) == RECORD


def test_redis_is_not_changed_before_the_secret_of_others_is_there() -> None:
    """With failover all pods are replaced for TLS: they would wait for a certificate that never comes."""
    platform = MemoryPlatform({"replicas": 1, "backplane": {"redis": {"managed": {"mode": "Failover"}}}})
    platform.settle()
    before = platform.objects[REDIS]
    tls: JsonObject = {"secretRef": {"name": "issued"}, "certificate": {"issuerRef": {"name": "private"}}}
    platform.change(backplane={"redis": {"managed": {"mode": "Failover", "tls": tls}}})
    for _ in range(3):
        platform.reconcile()
    assert platform.objects[REDIS] == before
    platform.secrets["issued"] = dict.fromkeys(("ca.crt", "tls.crt", "tls.key"), "0" * 64)
    platform.reconcile()
    assert REDIS not in platform.objects, "it is replaced as a whole: its pods would not reach each other"
    platform.reconcile()
    assert REDIS in platform.objects
