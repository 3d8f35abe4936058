"""Tests of rules as expressions of three languages."""

from __future__ import annotations

import pytest
from schema.conditions import Term, broken, holds, member
from schema.table import PRESENT, ZERO, Rule, Table

FLAG = Term("joinLeave", (True,), (False,))
OBJECT = Term("history", (PRESENT,), ("absent",))
ONE = Term("slowConsumer", ("Conflate",), ("Disconnect", "DropOldest"))
ALL_BUT_ONE = Term("slow_consumer", ("dropOldest", "conflate"), ("disconnect",), "SlowConsumer")
TIME = Term("writeDelay", (ZERO,), ("positive",))
SOME = Term("recovery", ("a", "b"), ("c", "d"), "Recovery")


@pytest.mark.parametrize(
    ("term", "cel", "operator"),
    [
        (FLAG, "self.joinLeave", "self.join_leave"),
        (FLAG.negated(), "!self.joinLeave", "not self.join_leave"),
        (OBJECT, "has(self.history)", "self.history is not None"),
        (OBJECT.negated(), "!has(self.history)", "self.history is None"),
        (TIME, "self.writeDelay == '0ms'", 'self.write_delay == "0ms"'),
        (TIME.negated(), "self.writeDelay != '0ms'", 'self.write_delay != "0ms"'),
        (ONE, "self.slowConsumer == 'Conflate'", 'self.slow_consumer == "Conflate"'),
        (ONE.negated(), "self.slowConsumer != 'Conflate'", 'self.slow_consumer != "Conflate"'),
        (SOME, "self.recovery in ['a', 'b']", 'self.recovery in {"a", "b"}'),
        (SOME.negated(), "self.recovery in ['c', 'd']", 'self.recovery in {"c", "d"}'),
    ],
)
def test_terms(term: Term, cel: str, operator: str) -> None:
    """Terms are in their shortest form; a double negation gives the term again."""
    assert (term.render("cel"), term.render("operator")) == (cel, operator)
    assert term.negated().negated() == term


def test_terms_of_the_server_compare_with_its_enumerations() -> None:
    """Members are written as Python writes constants."""
    assert ALL_BUT_ONE.render("server") == "self.slow_consumer is not SlowConsumer.DISCONNECT"
    assert ALL_BUT_ONE.negated().render("server") == "self.slow_consumer is SlowConsumer.DISCONNECT"
    assert SOME.render("server") == "self.recovery in {Recovery.A, Recovery.B}"
    assert Term("write_delay_seconds", ("positive",), (ZERO,)).render("server") == "self.write_delay_seconds != 0"
    assert member("dropOldest") == "DROP_OLDEST"


def test_a_rule_of_the_resource() -> None:
    """The expression is true when the condition is not met, or all that it needs is given."""
    rule = Rule(
        when={"slowConsumer": ("DropOldest", "Conflate")},
        needs={"presence": (True,), "delta": ("Disabled",)},
        message="",
    )
    assert holds(rule, Table.read(), "cel") == (
        "self.slowConsumer == 'Disconnect' || (self.presence && self.delta == 'Disabled')"
    )
    assert holds(rule, Table.read(), "operator") == (
        'self.slow_consumer == "Disconnect" or (self.presence and self.delta == "Disabled")'
    )


def test_a_rule_of_the_server() -> None:
    """The expression is true when the rule is violated."""
    rule = Rule(when={"recovery": (True,)}, needs={"history": (PRESENT,)}, message="")
    assert broken(rule, Table.read()) == "self.recovery and self.history is None"
    rule = Rule(when={"recovery": (True,)}, needs={"history": (PRESENT,), "presence": (True,)}, message="")
    assert broken(rule, Table.read()) == "self.recovery and (self.history is None or not self.presence)"
