"""Moving keeps its promises in every order of events, and each order that the code avoids breaks one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kit.spin import MODEL, SECONDS, search

pytestmark = pytest.mark.timeout(2 * SECONDS)


def sized(clients: int, publications: int, faults: int, crashes: int, unavailable: int = 0) -> tuple[str, ...]:
    """Return the options of a size of the model."""
    return (
        f"-DCLIENTS={clients}",
        f"-DPUBLICATIONS={publications}",
        f"-DFAULTS={faults}",
        f"-DOPERATOR_CRASHES={crashes}",
        f"-DMAX_UNAVAILABLE={unavailable}",
    )


ONE_BY_ONE = sized(clients=2, publications=0, faults=1, crashes=1)
TOGETHER = sized(clients=2, publications=0, faults=1, crashes=0, unavailable=1)
TOGETHER_WITH_CRASHES = sized(clients=2, publications=0, faults=0, crashes=2, unavailable=1)
PUBLISHING = sized(clients=2, publications=2, faults=0, crashes=0)
PUBLISHING_WITH_FAULTS = sized(clients=1, publications=2, faults=1, crashes=0)

SIZES = {
    "one by one": ONE_BY_ONE,
    "together": TOGETHER,
    "together, with crashes of the operator": TOGETHER_WITH_CRASHES,
    "publishing": PUBLISHING,
    "publishing, with faults": PUBLISHING_WITH_FAULTS,
}

ENDING = {
    "with faults": sized(clients=1, publications=0, faults=1, crashes=0),
    "with crashes of the operator": sized(clients=1, publications=1, faults=0, crashes=1),
}

AVOIDED = {
    "HISTORY_BEFORE_SUBSCRIPTION": (ENDING["with crashes of the operator"], "ends"),
    "DRAIN_BEFORE_SETTLED": (ONE_BY_ONE, "nobody is sent to a server that drains or is gone"),
    "MARK_BEFORE_ARRIVAL": (ONE_BY_ONE, "who was moved from here has arrived"),
    "SCALE_BEFORE_SURE": (ONE_BY_ONE, "nobody is cut off"),
    "START_BEFORE_LOWERED": (TOGETHER_WITH_CRASHES, "the budget holds"),
    "QUIESCE_BEFORE_SPARED": (ONE_BY_ONE, "enough serve"),
}
"""For each switch the size in which it shows, and the property that it breaks."""


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_no_order_of_events_breaks_a_promise(tmp_path: Path, size: tuple[str, ...]) -> None:
    """Nobody is cut off, loses or gets twice; enough servers serve; the budget holds."""
    verdict = search(tmp_path, size)
    assert verdict.violated is None, verdict.trail
    assert verdict.complete
    print(f"{verdict.states} states")


@pytest.mark.parametrize("size", ENDING.values(), ids=ENDING)
def test_every_move_ends(tmp_path: Path, size: tuple[str, ...]) -> None:
    """The new revision alone runs, and each client has every publication or was told what it misses."""
    verdict = search(tmp_path, size, "ends")
    assert verdict.violated is None, verdict.trail
    assert verdict.complete
    print(f"{verdict.states} states")


@pytest.mark.parametrize("switch", AVOIDED)
def test_an_order_that_the_code_avoids_breaks_a_promise(tmp_path: Path, switch: str) -> None:
    """The search finds the fault that the code would have, so that it would find another one."""
    size, broken = AVOIDED[switch]
    verdict = search(tmp_path, (*size, f"-D{switch}"), "ends" if broken == "ends" else "")
    assert verdict.violated == broken, verdict.trail


def test_each_switch_is_tried() -> None:
    """A switch that the model has and no test turns on says nothing."""
    assert set(re.findall(r"^#ifn?def ([A-Z_]+_BEFORE_[A-Z_]+)$", MODEL.read_text(), flags=re.MULTILINE)) == set(
        AVOIDED
    )
