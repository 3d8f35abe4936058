"""From measurements to ratios."""

from __future__ import annotations

from bench.load import Measured, masked
from bench.report import Row, rows, table


def measured(count: int, server_cpu: float, load_cpu: float = 0.5) -> Measured:
    """A measurement of one second."""
    return Measured(count, wall=1.0, server_cpu=server_cpu, load_cpu=load_cpu)


def test_rounds_are_compared_within_themselves() -> None:
    """The second round was twice as slow for both: the ratio does not change by it."""
    rounds = [
        {"ours": measured(300, 1.0), "peer": measured(100, 1.0)},
        {"ours": measured(150, 1.0), "peer": measured(50, 1.0)},
        {"ours": measured(300, 1.5), "peer": measured(100, 1.0)},
    ]
    ours, peer = rows(rounds, "peer")
    assert (ours.peer, ours.ratio, ours.lowest, ours.highest) == ("ours", 3.0, 2.0, 3.0)
    assert (peer.ratio, peer.lowest, peer.highest) == (1.0, 1.0, 1.0)
    assert (ours.per_cpu_second, ours.per_second) == (200, 300)


def test_the_table_says_when_the_load_generator_was_the_limit() -> None:
    """A figure per second is then too low."""
    text = table("Fan-out", [Row("ours", 2.0, 1.9, 2.1, 123_456.0, 100_000.0, 0.99)], "peer")
    assert "| ours | 2.00 (1.90 to 2.10) | 123,456 | 100,000 | 99% (saturated) |" in text.splitlines()


def test_frames_of_clients_are_masked() -> None:
    """With zeros, so that the payload stays as it is."""
    assert masked(b"hi") == b"\x81\x82\0\0\0\0hi"
    assert masked(b"a" * 300)[:8] == b"\x81\xfe\x01\x2c\0\0\0\0"
