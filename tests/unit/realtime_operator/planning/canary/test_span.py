"""Span over which servers are compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from realtime_operator.planning.canary.span import Span, next_span
from realtime_operator.planning.model.totals import CONNECTS, Totals
from realtime_operator.planning.model.world import Server, ServerReport, ServerState
from tests.unit.realtime_operator.planning.simulation import START


def server(name: str, connects: int | None, *, since: float = 1.0, age: float = 3600, linked: bool = True) -> Server:
    """Return a server of the revision `new` with this count; None: it does not answer."""
    report = None
    if connects is not None:
        totals = Totals(since, {(CONNECTS, ""): connects})
        report = ServerReport(ServerState.SERVING, 0, totals=totals, backplane_healthy=linked)
    return Server(name, name, "new", START - timedelta(seconds=age), ready=True, was_ready=True, report=report)


def after(*servers: Server, span: Span | None = None, seconds: float = 0, name: str = "new/1") -> Span:
    """Return the span after an observation at this time."""
    return next_span(span, name, servers, "new", START + timedelta(seconds=seconds))


def test_a_server_is_counted_from_when_it_was_seen_first() -> None:
    span = after(server("a", 100))
    assert span.counted([server("a", 100)]).sum(CONNECTS) == 0
    span = after(server("a", 107), span=span, seconds=1)
    assert span.counted([server("a", 107)]).sum(CONNECTS) == 7


def test_a_server_that_starts_in_the_span_is_counted_from_its_start() -> None:
    """What it has done before the operator saw it belongs to it; a server of the other revision is not new."""
    span = after()
    new, old = server("a", 5, age=-2), replace(server("b", 5, age=-2), revision="old")
    span = after(new, old, span=span, seconds=3)
    assert span.counted([new]).sum(CONNECTS) == 5
    assert span.counted([old]).sum(CONNECTS) == 0


def test_what_a_restarted_server_has_counted_before_is_kept() -> None:
    """The counts of its new process begin at 0, and are never taken for a difference."""
    span = after(server("a", 100))
    span = after(server("a", 110), span=span, seconds=1)
    span = after(server("a", 3, since=2.0), span=span, seconds=2)
    span = after(server("a", 8, since=2.0), span=span, seconds=3)
    assert span.counted([server("a", 8)]).sum(CONNECTS) == 15


def test_another_step_has_another_span() -> None:
    span = after(server("a", 100))
    span = after(server("a", 150), span=span, seconds=5, name="new/2")
    assert span.since == START + timedelta(seconds=5)
    assert span.counted([server("a", 150)]).sum(CONNECTS) == 0


def test_since_when_a_server_is_silent_or_unlinked_is_known() -> None:
    """It is forgotten when the server is well again; one that has not started yet is neither."""
    starting = replace(server("c", None), was_ready=False)
    span = after(server("a", None), server("b", 0, linked=False), starting)
    span = after(server("a", None), server("b", 0, linked=False), span=span, seconds=9)
    assert span.silent == {"a": START}
    assert span.unlinked == {"b": START}
    assert after(server("a", 1), server("b", 1), span=span, seconds=10).silent == {}


def test_a_server_of_an_earlier_release_is_silent() -> None:
    """It answers, but reports no totals."""
    report = ServerReport(ServerState.SERVING, 0)
    assert after(replace(server("a", None), report=report)).silent == {"a": START}
