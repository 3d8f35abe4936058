"""AdmissionReviews of evictions: what is read from them, and what clients of the API server get to see."""

from __future__ import annotations

import json

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.errors import PlatformError, UnreachableError
from realtime_operator.handlers.eviction_webhook import (
    ANSWER_SECONDS,
    EvictionReview,
    Reviewer,
    read_review,
    write_review,
)
from realtime_operator.metrics import Metrics
from realtime_operator.planning.moving.evictions import Allow, Hold, Verdict
from tests.kit.chart import chart_file
from tests.kit.document import dig, object_at

REVIEW = EvictionReview("1", "team", "main-abc", dry_run=False)
HELD = Hold(3, "main-abc holds 812 connections")


def request(**changes: object) -> JsonObject:
    """Return a review as the API server sends it."""
    eviction: JsonObject = {"apiVersion": "policy/v1", "kind": "Eviction"}
    found: JsonObject = {"uid": "1", "namespace": "team", "name": "main-abc", "dryRun": False, "object": eviction}
    return {"kind": "AdmissionReview", "request": {**found, **changes}}  # type: ignore[dict-item] # JSON in every test


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"dryRun": True}, True),
        ({"object": {"deleteOptions": {}}}, False),
        ({"object": {"deleteOptions": {"dryRun": ["All"]}}}, True),
    ],
    ids=str,
)
def test_a_dry_run_is_one_of_the_request_or_of_the_options(changes: dict[str, object], expected: bool) -> None:
    """`kubectl drain --dry-run=server` puts it into the Eviction alone."""
    review = read_review(request(**changes))
    assert (review.uid, review.namespace, review.name, review.dry_run) == ("1", "team", "main-abc", expected)


@pytest.mark.parametrize("document", [{}, {"request": None}, {"request": {"uid": "1"}}, request(name="")], ids=str)
def test_other_documents_are_refused(document: JsonObject) -> None:
    """The error names what is missing."""
    with pytest.raises(ValueError, match=r"request\.name is missing"):
        read_review(document)


def test_a_held_eviction_is_to_be_repeated() -> None:
    """The status is that of TooManyRequests, as clients of Kubernetes know it."""
    response = object_at(write_review(REVIEW, HELD), "response")
    assert (response["uid"], response["allowed"]) == ("1", False)
    assert response["status"] == {
        "status": "Failure",
        "code": 429,
        "reason": "TooManyRequests",
        "message": "main-abc holds 812 connections",
        "details": {"retryAfterSeconds": 3},
    }


def test_a_dry_run_warns() -> None:
    """Held, `kubectl drain --dry-run=server` would never end."""
    review = EvictionReview("1", "team", "main-abc", dry_run=True)
    response = object_at(write_review(review, HELD), "response")
    assert response["allowed"] is True
    assert response["warnings"] == ["the eviction would wait: main-abc holds 812 connections"]


def test_an_allowed_eviction_has_no_status() -> None:
    """Neither a status nor a warning."""
    assert write_review(REVIEW, Allow("it has no connections"))["response"] == {"uid": "1", "allowed": True}


class Judged:
    """A judge with one verdict, or one error."""

    def __init__(self, outcome: Verdict | PlatformError | TimeoutError) -> None:
        self._outcome = outcome
        self.asked: list[tuple[str, str, bool]] = []

    async def answer(self, namespace: str, name: str, *, dry_run: bool) -> Verdict:
        """Return the verdict, or raise the error."""
        self.asked.append((namespace, name, dry_run))
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


@pytest.mark.parametrize(
    ("body", "outcome", "status", "answer"),
    [
        (json.dumps(request()).encode(), HELD, 200, "held"),
        (json.dumps(request(dryRun=True)).encode(), HELD, 200, "held"),
        (json.dumps(request()).encode(), Allow("it has no connections"), 200, "allowed"),
        (json.dumps(request()).encode(), UnreachableError("GET /api: no answer"), 500, "not_judged"),
        (json.dumps(request()).encode(), TimeoutError(), 500, "not_judged"),
        (b"{}", HELD, 400, "not_judged"),
        (b"no JSON", HELD, 400, "not_judged"),
        (b"\xff", HELD, 400, "not_judged"),
        (b"[]", HELD, 400, "not_judged"),
    ],
    ids=str,
)
async def test_every_request_is_counted(
    body: bytes, outcome: Verdict | PlatformError | TimeoutError, status: int, answer: str
) -> None:
    """Those that were not judged too, which let the pod go."""
    metrics, judge = Metrics(), Judged(outcome)
    found, document = await Reviewer(judge, metrics).review(body)
    assert found == status
    assert judge.asked == ([] if status == 400 else [("team", "main-abc", b'"dryRun": true' in body)])
    assert ("error" in document) is (status != 200)
    counted = {
        sample.labels["answer"]: sample.value
        for metric in metrics.evictions.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }
    assert counted == {answer: 1}


def test_the_api_server_waits_longer_than_an_answer_takes() -> None:
    """By default, and at the least."""
    timeout = dig(chart_file("values.yaml"), "webhook", "timeoutSeconds")
    least = dig(chart_file("values.schema.json"), "properties", "webhook", "properties", "timeoutSeconds", "minimum")
    assert timeout == least
    assert isinstance(least, int)
    assert least > ANSWER_SECONDS
