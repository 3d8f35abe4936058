"""The admission webhook of `pods/eviction`: AdmissionReviews over HTTPS, in every process of the operator."""

from __future__ import annotations

import asyncio
import hmac
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

import structlog
from aiohttp import web

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, text_at
from realtime_operator.errors import PlatformError
from realtime_operator.metrics import Metrics
from realtime_operator.planning.moving.evictions import Hold, Verdict
from realtime_operator.platforms.kubernetes.webhook_access import WebhookAccess

logger = structlog.get_logger()

ANSWER_SECONDS = 4.0
"""Seconds within which the webhook answers; the API server waits for longer (chart value webhook.timeoutSeconds)."""


@dataclass(frozen=True, slots=True)
class EvictionReview:
    """The part of an AdmissionReview of an Eviction that decides. `uid` is that of the review."""

    uid: str
    namespace: str
    name: str
    dry_run: bool


def read_review(document: JsonObject) -> EvictionReview:
    """Parse an AdmissionReview (admission.k8s.io/v1); raises ValueError when it is none of a named pod.

    A dry run is one by the query of the request, or by the options in the Eviction, as `kubectl drain` sends them.
    """
    request = dig(document, "request")
    review = EvictionReview(
        uid=text_at(request, "uid"),
        namespace=text_at(request, "namespace"),
        name=text_at(request, "name"),
        dry_run=dig(request, "dryRun") is True or bool(dig(request, "object", "deleteOptions", "dryRun")),
    )
    if not (review.uid and review.namespace and review.name):
        raise ValueError("no AdmissionReview of a pod: request.uid, request.namespace or request.name is missing")
    return review


def write_review(review: EvictionReview, verdict: Verdict) -> JsonObject:
    """Return the AdmissionReview with the verdict.

    The API server gives its clients the whole status: as 429 with Retry-After they repeat the request. A dry run is
    allowed with a warning, as nothing would end the wait of `kubectl drain --dry-run=server`.
    """
    response: JsonObject = {"uid": review.uid, "allowed": not isinstance(verdict, Hold)}
    if isinstance(verdict, Hold) and review.dry_run:
        response |= {"allowed": True, "warnings": [f"the eviction would wait: {verdict.message}"]}
    elif isinstance(verdict, Hold):
        response["status"] = {
            "status": "Failure",
            "code": HTTPStatus.TOO_MANY_REQUESTS.value,
            "reason": "TooManyRequests",
            "message": verdict.message,
            "details": {"retryAfterSeconds": verdict.retry_after_seconds},
        }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


class Judge(Protocol):
    """Decides about the eviction of a pod; see Evictions."""

    async def answer(self, namespace: str, name: str, *, dry_run: bool) -> Verdict:
        """Return the verdict; raises PlatformError."""


class Reviewer:
    """Answers AdmissionReviews of evictions, and counts the answers."""

    def __init__(self, judge: Judge, metrics: Metrics) -> None:
        self._judge = judge
        self._answers = metrics.evictions

    async def review(self, body: bytes) -> tuple[HTTPStatus, JsonObject]:
        """Answer a request; after any status but 200 the API server lets the eviction pass (failurePolicy Ignore)."""
        try:
            review = read_review(json.loads(body))
        except ValueError as error:
            return self._not_judged("unknown", str(error), HTTPStatus.BAD_REQUEST)
        pod = f"{review.namespace}/{review.name}"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                verdict = await self._judge.answer(review.namespace, review.name, dry_run=review.dry_run)
        except (PlatformError, TimeoutError) as error:
            reason = str(error) or f"no answer within {ANSWER_SECONDS:g} s"
            return self._not_judged(pod, reason, HTTPStatus.INTERNAL_SERVER_ERROR)
        answer, told = ("held", verdict.message) if isinstance(verdict, Hold) else ("allowed", verdict.reason)
        self._answers.labels(answer).inc()
        logger.info("eviction", pod=pod, answer=answer, why=told, dry_run=review.dry_run)
        return HTTPStatus.OK, write_review(review, verdict)

    def _not_judged(self, pod: str, reason: str, status: HTTPStatus) -> tuple[HTTPStatus, JsonObject]:
        self._answers.labels("not_judged").inc()
        logger.warning("eviction not judged", pod=pod, error=reason)
        return status, {"error": reason}


class EvictionWebhook:
    """The webhook's server."""

    def __init__(self, access: WebhookAccess, reviewer: Reviewer) -> None:
        self._access = access
        self._reviewer = reviewer
        self._runner: web.AppRunner | None = None
        self._looking: asyncio.Task[None] | None = None
        self._leaving = False

    def not_ready(self) -> str | None:
        """Return why the API server should not call this process; None when it can, or there is no webhook here."""
        if self._runner is None or self._access.obstacle is None:
            return None
        return f"the webhook of evictions: {self._access.obstacle}"

    async def start(self, port: int) -> None:
        """Listen on all addresses; requests are answered from when the certificate is known."""
        application = web.Application()
        application.router.add_post("/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=ANSWER_SECONDS
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, port=port, ssl_context=self._access.context).start()
        self._looking = asyncio.create_task(self._access.run(), name="webhook-access")

    async def leave(self, seconds: float) -> None:
        """Answer for so long still, while the process is not ready and its address leaves the Service.

        Each answer closes its connection, so that the API server opens the next one to another process. Without a
        webhook here it returns at once.
        """
        if self._runner is not None:
            self._leaving = True
            await asyncio.sleep(seconds)

    async def stop(self) -> None:
        """End the server, after the requests that it is answering."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        path = self._access.path
        if not path or not hmac.compare_digest(request.path.encode(), path.encode()):
            return web.json_response({"error": "not found"}, status=404)
        status, document = await self._reviewer.review(await request.read())
        response = web.json_response(document, status=status.value)
        if self._leaving:
            response.force_close()
        return response
