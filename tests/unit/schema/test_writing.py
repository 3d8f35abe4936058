"""Tests of the pieces of generated Python modules."""

from __future__ import annotations

import ast

import pytest
from schema.writing import WIDTH, docstring, formatted, text


def test_a_docstring_that_fits_is_one_line() -> None:
    """The docstring has the requested indent."""
    assert docstring("Two  words.") == '    """Two words."""\n'


def test_a_longer_docstring_begins_with_its_first_sentence() -> None:
    """The rest is wrapped below it without a loss."""
    long = f"First. {'word ' * 40}end."
    written = docstring(long)
    assert written.startswith('    """First.\n\n    word')
    assert max(map(len, written.splitlines())) <= WIDTH
    assert written.replace('"""', "").split() == long.split()


def test_a_first_sentence_must_fit_on_a_line() -> None:
    """Otherwise the documentation of the field would start within a sentence."""
    with pytest.raises(ValueError, match="the first sentence must fit"):
        docstring("word " * 40)


@pytest.mark.parametrize("value", ["short", 'with "quotes"', "long " * 80, "`code`: more\N{EN DASH}text"])
def test_a_text_is_the_same_text(value: str) -> None:
    """The value is the same, whatever its number of lines."""
    written = text(value)
    assert ast.literal_eval(f"({written})") == value
    assert max(map(len, written.splitlines())) < WIDTH


def test_sources_are_formatted() -> None:
    assert formatted("x = {'a':1}") == 'x = {"a": 1}\n'
