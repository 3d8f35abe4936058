"""Which of the packaged programs the tests use on which interpreter."""

from __future__ import annotations

import pytest

from tests.kit.redis_programs import NEWEST_REDIS, OLDEST_REDIS, VALKEY, PackagedProgram

ALL = (OLDEST_REDIS, NEWEST_REDIS, VALKEY)


@pytest.mark.parametrize(
    ("python", "machine", "expected"),
    [
        ("3.11", "x86_64", ALL),
        ("3.12", "x86_64", ALL),
        ("3.13", "x86_64", (NEWEST_REDIS, VALKEY)),
        ("3.14", "x86_64", (VALKEY,)),
        ("3.11", "aarch64", (NEWEST_REDIS, VALKEY)),
        ("3.11", "riscv64", ()),
    ],
)
def test_a_program_is_used_where_its_package_has_a_wheel(
    python: str, machine: str, expected: tuple[PackagedProgram, ...]
) -> None:
    """As pyproject.toml says."""
    environment = {
        "python_version": python, "python_full_version": f"{python}.1",
        "platform_machine": machine, "sys_platform": "linux",
    }  # fmt: skip
    assert tuple(one for one in ALL if one.is_for(environment)) == expected


def test_what_is_for_this_interpreter_is_installed() -> None:
    """A driver that is left out here is one that cannot be had."""
    assert [one.path.is_file() for one in ALL if one.is_for()] == [True for one in ALL if one.is_for()]


def test_a_package_that_is_not_installed_is_told() -> None:
    """With what installs it."""
    with pytest.raises(RuntimeError, match=r"^the package no_such_package is not installed: run `make setup`$"):
        _ = PackagedProgram("no_such_package", "*", ("", "")).path
    with pytest.raises(AssertionError, match="does not name no_such_package: run `make setup`"):
        PackagedProgram("no_such_package", "*", ("", "")).is_for()
