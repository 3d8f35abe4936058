"""Tests of the table's validation: contradictions are reported with their place."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from schema.table import TABLE, Table, TableError, snake_case


def read(folder: Path, *changes: tuple[str, str]) -> Table:
    """Read the table with some of its text replaced."""
    text = TABLE.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = folder / "table.toml"
    path.write_text(text)
    return Table.read(path)


def test_the_table_of_the_repository_is_right() -> None:
    table = Table.read()
    assert [option.field for option in table.options][:3] == ["name", "history", "recovery"]
    assert [field.field for field in table.server_fields][:3] == ["name", "history", "recovery"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('default = "Disabled"', 'default = "Off"', "default must be one of Disabled, "),
        ("Subscribers = {", "subscribers = {", "values are written in CamelCase with a capital"),
        ('server = { publish = "nobody" }', 'server = { publish = "none" }', "publish: Nobody sets publish to none"),
        ('server = { publish = "nobody" }', 'server = { write = "nobody" }', "publish: Nobody sets write to nobody"),
        ("server = { delta = true }", "server = {}", "delta: no value sets delta"),
        ('server = { publish = "anyone" }', 'server = { publish = "nobody" }', "publish: two values set the same"),
        (
            'type = "Access"\ndefault = "nobody"',
            'type = "Access"\ndefault = "x"',
            "must be a value of the",
        ),
        ('field = "presence_for"', 'field = "publish"', "publish is defined twice"),
        ('type = "duration"', 'type = "boolean"', r"ttl: needs one \[\[option.server\]\] of type boolean"),
        (
            "when = { slowConsumer",
            "when = { slow",
            r"a rule names slow, which is no \[\[option",
        ),
        ('delta = ["Disabled"]', 'delta = ["Off"]', "a rule about delta must name some of Disabled, Fossil"),
        ('delta = ["Disabled"]', 'delta = ["Disabled", "Fossil"]', "a rule about delta must name some of .* not all"),
        ('field = "slowConsumer"\nwhen', 'field = "slow"\nwhen', r"slow: is no \[\[option\]\]"),
        ('since = "0.1.0"', 'since = "soon"', "since"),
        ('type = "enumeration"', 'type = "choice"', "type"),
        ("[namespace]", "[namespace", "Expected"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    """The error has the file, the entry, and what would be valid."""
    with pytest.raises(TableError, match=message) as refused:
        read(tmp_path, (old, new))
    assert str(tmp_path / "table.toml") in str(refused.value)


def test_an_unknown_type_is_told(tmp_path: Path) -> None:
    """The type is neither built in nor an enumeration of the table."""
    with pytest.raises(TableError, match="value of the enumeration Maybe"):
        read(tmp_path, ('type = "Access"', 'type = "Maybe"'))


def test_a_value_decides_about_all_fields_of_its_option() -> None:
    """Fields that the value does not name have their defaults."""
    (recovery,) = (option for option in Table.read().options if option.field == "recovery")
    assert recovery.settings("Cache") == {**recovery.settings("Disabled"), "recovery": True, "recovery_mode": "cache"}


def test_no_field_is_newer_than_the_server() -> None:
    """`since` is a past release or the next one."""
    newest = [int(part) for part in version("realtime-operator").split(".")]
    assert [f for f in Table.read().server_fields if [int(part) for part in f.since.split(".")] > newest] == []


def test_names_become_pythons() -> None:
    assert [snake_case(name) for name in ("slowConsumer", "delta", "dropOldest")] == [
        "slow_consumer",
        "delta",
        "drop_oldest",
    ]


def test_the_table_is_read_whole() -> None:
    """Every entry of the file is known, so that a misspelled [[table]] is noticed."""
    assert set(tomllib.loads(TABLE.read_text())) == {
        "namespace",
        "option",
        "enumeration",
        "rule",
        "server_rule",
    }
