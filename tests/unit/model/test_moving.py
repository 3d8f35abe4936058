"""The model of moving has the actions and steps that the code has."""

from __future__ import annotations

import ast
import re

import pytest

from realtime_operator.planning.model import plan
from tests.kit.spin import MODEL

ROOT = MODEL.parents[1]
TEXT = MODEL.read_text()
README = (MODEL.parent / "README.md").read_text()
ROLLOUT = "operator/realtime_operator/planning/moving/rollout.py"
DRAINS = "operator/realtime_operator/planning/moving/drains.py"
HUB = "server/realtime_server/core/channels/hub.py"
STEPS = re.findall(r"^\| `(\w+)` \| `([\w/.]+)` \| `(\w+)` \|$", README, flags=re.MULTILINE)
LEFT_OUT = {"DeleteServer", "SetShare"}
ORDERS = [
    (HUB, "join", "_make_live", "_position"),
    ("server/realtime_server/core/commands/subscribe.py", "subscribe", "reply_within", "complete"),
    (ROLLOUT, "next_step", "_scale_old", "divide"),
]
"""Module, function, and two functions that it must call in this order."""
GUARDS = [
    (DRAINS, "divide", "is_settled"),
    (DRAINS, "divide", "_drains_faster"),
    (ROLLOUT, "_quiesces", "_may_serve"),
    (ROLLOUT, "next_step", "_is_deleted_first"),
]
"""Module, function, and what it must ask, without which it has the order that a switch puts back."""


def function_of(module: str, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return the last function or method of this name in a module."""
    found = None
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            found = node
    return found


def calls_of(module: str, name: str) -> list[str]:
    """Return the names of what a function calls, in the order of the text."""
    function = function_of(module, name)
    assert function is not None, f"{module} has no {name}"
    calls = sorted(
        (node.lineno, node.col_offset, ast.unparse(node.func).rpartition(".")[2])
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
    )
    return [called for _, _, called in calls]


def test_the_model_has_the_actions_of_the_rollout() -> None:
    """What the rollout plans is an action of the model, or is named as left out."""
    imported = {
        name.name
        for module in (ROLLOUT, DRAINS)
        for node in ast.walk(ast.parse((ROOT / module).read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == plan.__name__
        for name in node.names
    }
    (listed,) = re.findall(r"^mtype:action = \{ ([\w, ]+) \}$", TEXT, flags=re.MULTILINE)
    modelled = {*listed.split(", "), *re.findall(r"^inline ([A-Z]\w+)\(", TEXT, flags=re.MULTILINE)}
    assert modelled | LEFT_OUT == imported - {"Action"}
    assert all(f"- `{name}`: " in README for name in LEFT_OUT)
    assert all(hasattr(plan, name) for name in modelled)


@pytest.mark.parametrize(("step", "module", "function"), STEPS, ids=[step for step, _, _ in STEPS])
def test_each_step_is_where_the_table_says(step: str, module: str, function: str) -> None:
    """It is in the model and in the code."""
    assert re.search(rf"^(inline|proctype|#define) {step}\(", TEXT, flags=re.MULTILINE)
    assert function_of(module, function) is not None


def test_each_decision_is_in_the_table() -> None:
    """Also one that was added to the model later."""
    decisions = set(re.findall(r"^inline (decide\w*)\(", TEXT, flags=re.MULTILINE))
    assert len(decisions) >= 5
    assert decisions <= {step for step, _, _ in STEPS}


@pytest.mark.parametrize(("module", "function", "first", "second"), ORDERS, ids=[order[1] for order in ORDERS])
def test_the_code_has_the_order_of_the_model(module: str, function: str, first: str, second: str) -> None:
    """The switch that exchanges them shows what would break."""
    calls = calls_of(module, function)
    assert calls.index(first) < calls.index(second)


@pytest.mark.parametrize(("module", "function", "asked"), GUARDS, ids=[guard[2] for guard in GUARDS])
def test_the_code_asks_what_a_switch_leaves_out(module: str, function: str, asked: str) -> None:
    """The condition may not be dropped from the code alone."""
    assert asked in calls_of(module, function)


def test_each_switch_is_explained() -> None:
    """A row of the table says what the wrong order is, and what it breaks."""
    switches = set(re.findall(r"^#ifn?def ([A-Z_]+_BEFORE_[A-Z_]+)$", TEXT, flags=re.MULTILINE))
    assert switches == set(re.findall(r"^\| `([A-Z_]+)` \| .+ \| .+ \|$", README, flags=re.MULTILINE))


def test_the_model_is_small() -> None:
    """A model that is as long as the code is read by nobody."""
    assert len(TEXT.splitlines()) <= 600
