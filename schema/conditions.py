"""Rules of the table as expressions: CEL for the API server, Python for the operator and the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from schema.table import PRESENT, ZERO, Rule, Scalar, Table, snake_case

Dialect: TypeAlias = Literal["cel", "operator", "server"]


@dataclass(frozen=True, slots=True)
class Term:
    """A field has one of `values`; `others` are its other possible values, `enumeration` is its class in core."""

    field: str
    values: tuple[Scalar, ...]
    others: tuple[Scalar, ...]
    enumeration: str = ""

    def negated(self) -> Term:
        """Return the term that the field has none of the values."""
        return Term(self.field, self.others, self.values, self.enumeration)

    def render(self, dialect: Dialect) -> str:
        """Return the term as an expression."""
        if {*self.values, *self.others} == {True, False}:
            return _boolean(self.field, dialect, is_true=self.values == (True,))
        if PRESENT in {*self.values, *self.others}:
            return _presence(self.field, dialect, is_present=self.values == (PRESENT,))
        if ZERO in {*self.values, *self.others}:
            return _time(self.field, dialect, is_zero=self.values == (ZERO,))
        return self._enumerated(dialect)

    def _enumerated(self, dialect: Dialect) -> str:
        name = f"self.{_name(self.field, dialect)}"
        equal, unequal = ("is", "is not") if dialect == "server" else ("==", "!=")
        if len(self.values) == 1:
            return f"{name} {equal} {self._literal(self.values[0], dialect)}"
        if len(self.others) == 1:
            return f"{name} {unequal} {self._literal(self.others[0], dialect)}"
        listed = ", ".join(self._literal(value, dialect) for value in self.values)
        return f"{name} in [{listed}]" if dialect == "cel" else f"{name} in {{{listed}}}"

    def _literal(self, value: Scalar, dialect: Dialect) -> str:
        if dialect == "server":
            return f"{self.enumeration}.{member(str(value))}"
        return f"'{value}'" if dialect == "cel" else f'"{value}"'


def member(value: str) -> str:
    """Return the name of an enumeration's member: `dropOldest` is DROP_OLDEST."""
    return snake_case(value).upper()


def holds(rule: Rule, table: Table, dialect: Dialect) -> str:
    """Return the expression that is true where a rule is kept."""
    met = [term.render(dialect) for term in _needs(rule, table, dialect)]
    either, both = ("||", "&&") if dialect == "cel" else ("or", "and")
    needed = met[0] if len(met) == 1 else f"({f' {both} '.join(met)})"
    return f"{_when(rule, table, dialect).negated().render(dialect)} {either} {needed}"


def broken(rule: Rule, table: Table) -> str:
    """Return the expression that is true where the server finds a rule violated."""
    unmet = [term.negated().render("server") for term in _needs(rule, table, "server")]
    missing = unmet[0] if len(unmet) == 1 else f"({' or '.join(unmet)})"
    return f"{_when(rule, table, 'server').render('server')} and {missing}"


def _when(rule: Rule, table: Table, dialect: Dialect) -> Term:
    ((field, values),) = rule.when.items()
    return _term(field, values, table, dialect)


def _needs(rule: Rule, table: Table, dialect: Dialect) -> list[Term]:
    return [_term(field, values, table, dialect) for field, values in rule.needs.items()]


def _term(field: str, values: tuple[Scalar, ...], table: Table, dialect: Dialect) -> Term:
    known: Callable[[str], tuple[Scalar, ...]] = table.server_values if dialect == "server" else table.resource_values
    others = tuple(value for value in known(field) if value not in values)
    enumeration = next((found.type for found in table.server_fields if found.field == field), "")
    return Term(field, values, others, enumeration)


def _name(field: str, dialect: Dialect) -> str:
    return snake_case(field) if dialect == "operator" else field


def _boolean(field: str, dialect: Dialect, *, is_true: bool) -> str:
    negation = "" if is_true else "!" if dialect == "cel" else "not "
    return f"{negation}self.{_name(field, dialect)}"


def _presence(field: str, dialect: Dialect, *, is_present: bool) -> str:
    if dialect == "cel":
        return f"{'' if is_present else '!'}has(self.{field})"
    return f"self.{_name(field, dialect)} is {'not ' if is_present else ''}None"


def _time(field: str, dialect: Dialect, *, is_zero: bool) -> str:
    """Return the comparison of a time with zero, which the resource writes in one way only."""
    zero = {"cel": "'0ms'", "operator": '"0ms"', "server": "0"}[dialect]
    return f"self.{_name(field, dialect)} {'==' if is_zero else '!='} {zero}"
