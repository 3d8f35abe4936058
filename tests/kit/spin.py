"""Spin (https://spinroot.com), which looks at every order of events of the model in `model/`."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

MODEL = Path(__file__).parents[2] / "model" / "moving.pml"
COMPILER = ("gcc", "-O1", "-DNOREDUCE", "-DMEMLIM=1024")
"""Compiler of the verifier. All steps share their variables, so that partial order reduction only costs time."""
PROCESSES_FOR_FAIRNESS = "-DNFAIR=4"
MAX_DEPTH = "-m1000000"
SECONDS = 600.0
TRAIL_LINES = 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of a search. `violated` is the violated property, None when there is no counterexample.

    It is the comment beside a failed assertion, or the name of a property in temporal logic; `trail` tells how.
    `complete`: every state was visited.
    """

    violated: str | None
    trail: str
    states: int
    complete: bool


def search(folder: Path, defines: tuple[str, ...], ltl: str = "") -> Verdict:
    """Search for a violated assertion, or for a run without the property `ltl`, which needs weak fairness.

    `defines` are `-D` options of the model: its size, and an order that the code avoids.
    """
    (folder / MODEL.name).write_text(MODEL.read_text())
    _run(folder, "spin", "-a", *defines, MODEL.name)
    _run(folder, *COMPILER, *((PROCESSES_FOR_FAIRNESS,) if ltl else ("-DSAFETY", "-DNOCLAIM")), "-o", "pan", "pan.c")
    output = _run(folder, "./pan", MAX_DEPTH, *(("-a", "-f", "-N", ltl) if ltl else ()))
    states = re.search(r"([\d.e+]+) states, stored", output)
    assert states is not None, output
    complete = not re.search(r"Search not completed|max search depth too small|memory limit", output)
    if "errors: 0" in output:
        return Verdict(None, "", round(float(states[1])), complete)
    trail = _run(folder, "spin", "-t", "-p", *defines, MODEL.name)
    return Verdict(_violated(trail, ltl), _shorten(trail), round(float(states[1])), complete)


def _violated(trail: str, ltl: str) -> str:
    """Return the comment beside the failed assertion of a trail; without one the property is violated."""
    failed = re.search(rf"{MODEL.name}:(\d+), Error: assertion violated", trail)
    if failed is None:
        return ltl
    line = MODEL.read_text().splitlines()[int(failed[1]) - 1]
    comment = re.search(r"/\* (.*) \*/", line)
    assert comment is not None, f"{MODEL.name}:{failed[1]} says not what it asserts: {line}"
    return comment[1]


def _shorten(trail: str) -> str:
    """Return the first line of each step of a trail, without the claim's."""
    steps: dict[tuple[str, str], str] = {}
    for line in trail.splitlines():
        found = re.match(r"\s*(\d+):\s+proc\s+\d+ \((\w+):", line)
        if found:
            steps.setdefault((found[1], found[2]), " ".join(line.split()))
    return "\n".join([*steps.values()][-TRAIL_LINES:])


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode in {0, 1}, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr
