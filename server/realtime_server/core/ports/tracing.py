"""Port of core for distributed tracing: what becomes spans. Drivers export them; without one nothing is traced."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

Trace: TypeAlias = Mapping[str, str]
"""Context of a sampled trace, in the form of its HTTP headers (W3C Trace Context)."""

Headers: TypeAlias = Callable[[str], Sequence[str]]
"""All values of a request's header, by its name in lower case."""


class Exchange(Protocol):
    """Span of an HTTP request and its answer."""

    @property
    def headers(self) -> Trace | None:
        """Context to send with the request, in place of any other; empty when it is not sampled, None: send any."""

    def answered(self, status: int) -> None:
        """Record the status of the answer."""


class Delivery(Protocol):
    """Span of one publication's delivery to all of its subscribers on this worker."""

    def end(self, subscribers: int) -> None:
        """End the span: the publication was written to so many subscribers."""


class Tracing(Protocol):
    """Maker of spans. A context manager makes its span the parent of those within, and records an exception."""

    def api_call(self, method: str, headers: Headers) -> AbstractContextManager[Exchange]:
        """Trace a call of the server API, whose caller is authenticated, as a part of the caller's trace.

        `method` is one of a bounded set. Without a valid `traceparent` it may begin a trace of its own.
        """

    def call_failed(self, code: int, why: str) -> None:
        """Record an error of the catalogue, with which a part of the current API call was answered."""

    def client_publication(self, channel: str) -> AbstractContextManager[None]:
        """Trace a publish command of a client, perhaps, in a trace of its own: nothing that it sends is trusted."""

    def sending(self, channel: str, size: int) -> AbstractContextManager[Trace | None]:
        """Trace the sending of a publication of `size` bytes to the backplane, as a part of the current trace.

        Enters with the context to send along, None when there is no trace or it is not sampled.
        """

    def delivering(self, channel: str, trace: Trace, offset: int) -> Delivery:
        """Begin the span of a delivery, as a part of the trace that came with the publication."""

    def backend_request(self, hook: str, url: str) -> AbstractContextManager[Exchange]:
        """Trace a request to the backend, as a part of the current trace or perhaps in one of its own."""


class _NoExchange:
    headers: Trace | None = None

    def answered(self, status: int) -> None:
        """Do nothing."""


class _NoDelivery:
    def end(self, subscribers: int) -> None:
        """Do nothing."""


_EXCHANGE: AbstractContextManager[Exchange] = contextlib.nullcontext(_NoExchange())
_NOTHING: AbstractContextManager[None] = contextlib.nullcontext(None)
_DELIVERY = _NoDelivery()


class NoTracing:
    """Implements Tracing where it is off."""

    def api_call(self, method: str, headers: Headers) -> AbstractContextManager[Exchange]:  # noqa: ARG002
        """Trace nothing."""
        return _EXCHANGE

    def call_failed(self, code: int, why: str) -> None:
        """Do nothing."""

    def client_publication(self, channel: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Trace nothing."""
        return _NOTHING

    def sending(self, channel: str, size: int) -> AbstractContextManager[Trace | None]:  # noqa: ARG002
        """Trace nothing."""
        return _NOTHING

    def delivering(self, channel: str, trace: Trace, offset: int) -> Delivery:  # noqa: ARG002
        """Trace nothing."""
        return _DELIVERY

    def backend_request(self, hook: str, url: str) -> AbstractContextManager[Exchange]:  # noqa: ARG002
        """Trace nothing."""
        return _EXCHANGE


NO_TRACING = NoTracing()
