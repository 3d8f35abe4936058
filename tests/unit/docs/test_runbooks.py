"""The runbook of moving connections has a row for each state and each reason that the operator can report about it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from realtime_operator.planning.model.reasons import Reason
from realtime_operator.planning.model.world import ServerState
from realtime_operator.planning.moving.brakes import FREEZING_REASONS
from realtime_operator.planning.status.findings import REPORTED_HOLDS

PAGE = Path(__file__).parents[3] / "docs" / "runbooks" / "moving-connections.md"
HEADINGS = ["means", "look at", "do"]
NOT_ABOUT_MOVES = {
    Reason.VALID, Reason.SERVERS_AVAILABLE, Reason.SERVERS_UNAVAILABLE, Reason.SCALED_TO_ZERO,
    Reason.ENDPOINT_UNAVAILABLE, Reason.CREATING, Reason.CHANGING_REDIS, Reason.RETRYING, Reason.AS_EXPECTED,
    Reason.NAME_TAKEN, Reason.KIND_NOT_SERVED, Reason.REDIS_CANNOT_START, Reason.REDIS_CHANGE_FAILS,
    Reason.REDIS_NOT_READY, Reason.REDIS_NEARLY_FULL, Reason.CONNECTED, Reason.STARTING, Reason.DISCONNECTED,
    Reason.NOT_MEASURED, Reason.UNCHANGED, Reason.ROTATING, Reason.REPLACED, Reason.MISSING,
    Reason.ENDPOINT_AVAILABLE, Reason.ROUTE_NOT_ACCEPTED, Reason.ROUTE_NOT_RESOLVED, Reason.ROUTE_PENDING,
    Reason.ADDRESS_PENDING, Reason.CREDENTIALS_ROTATED,
}  # fmt: skip
"""Reasons whose pages are others. A new reason is about moves until it is listed here."""


def rows(*kinds: str) -> list[list[str]]:
    """Return the cells of the rows of all tables whose first heading is one of `kinds`."""
    found: list[list[str]] = []
    kind = ""
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("| ") else []
        if not cells:
            kind = ""
        elif not kind:
            kind = cells[0]
            assert cells[1:] in (HEADINGS, ["holds", *HEADINGS[1:]])
        elif kind in kinds and not cells[0].startswith("---"):
            found.append(cells)
    return found


def names(row: list[str]) -> list[str]:
    """Return the names in the first cell of a row."""
    return re.findall(r"`(\w+)`", row[0])


def test_every_reason_about_moves_has_one_row() -> None:
    """Of conditions, of `.status.hold`, and of Events."""
    documented = [name for row in rows("reason") for name in names(row)]
    assert sorted(documented) == sorted(reason.value for reason in {*Reason} - NOT_ABOUT_MOVES)


def test_every_reason_of_a_hold_is_about_moves() -> None:
    """A brake that stops moves is never left out."""
    assert not (FREEZING_REASONS | REPORTED_HOLDS) & NOT_ABOUT_MOVES


def test_every_state_of_a_server_has_a_row() -> None:
    """As it is in `.status.servers`."""
    documented = [name for row in rows("state") for name in names(row)]
    assert documented == [*(state.value.capitalize() for state in ServerState), "Terminating", "Unknown"]


@pytest.mark.parametrize("row", rows("state", "gate", "reason"), ids=lambda row: row[0])
def test_each_row_says_what_to_do(row: list[str]) -> None:
    """What it means, what to look at, and what to do."""
    assert len(row) == 1 + len(HEADINGS)
    assert all(row)
