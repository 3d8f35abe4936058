"""Tests of templates of channel names: the security core of routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.auth.claims import Claims
from realtime_server.core.model.namespaces import MAX_CHANNEL_BYTES, namespace_of
from realtime_server.protocols.channel_templates import MAX_VALUE_BYTES, PlaceholderError, TemplateError
from realtime_server.protocols.plain.template import parse_template

ALICE = Claims("alice", meta=b'{"tenant":"acme","number":7,"on":true,"list":[1]}')
NO_QUERY: Mapping[str, Sequence[str]] = {}


def no_header(_name: str) -> list[str]:
    """Return no lines."""
    return []


class Values(NamedTuple):
    """Values of a request."""

    path: Mapping[str, Sequence[str]] = {}
    query: Mapping[str, Sequence[str]] = {}
    header: Callable[[str], Sequence[str]] = no_header


def channel(template: str, query: Mapping[str, Sequence[str]] = NO_QUERY, claims: Claims = ALICE) -> str:
    """Return the channel that a template makes."""
    return parse_template(template).channel(claims, Values(query=query))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("orders", "orders"),
        ("orders:all", "orders:all"),
        ("orders:{query.id}", "orders:7"),
        ("#{sub}", "#alice"),
        ("user:{sub}:{query.id}", "user:alice:7"),
        ("tenant:{meta.tenant}.{meta.number}", "tenant:acme.7"),
        ("room-{query.id}", "room-7"),
        ("$private:{query.id}", "$private:7"),
    ],
)
def test_values_fill_placeholders(template: str, expected: str) -> None:
    assert channel(template, {"id": ["7"]}) == expected


def test_headers_fill_placeholders() -> None:
    template = parse_template("devices:{header.x-device}")
    assert template.channel(ALICE, Values(header=lambda name: ["d1"] if name == "x-device" else [])) == "devices:d1"


def test_segments_of_the_path_fill_placeholders() -> None:
    """Under the rules of all values of a client: they name no namespace, and the template grants nothing."""
    template = parse_template("rooms:{path.room}")
    assert template.channel(ALICE, Values(path={"room": ["lobby"]}, query={"room": ["other"]})) == "rooms:lobby"
    assert not template.grants
    for wrong, why in (({}, "is missing"), ({"room": [""]}, "is empty"), ({"room": ["a:b"]}, "not allowed")):
        with pytest.raises(PlaceholderError, match=why):
            template.check_request(Values(path=wrong))


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("", "must not be empty"),
        ("orders:{", "a brace is not closed"),
        ("orders:}", "a brace is not closed"),
        ("orders:{id}", "{id} is no placeholder"),
        ("orders:{query.}", "{query.} is no placeholder"),
        ("orders:{header.X-Device}", "in lower case"),
        ("orders:{}", "{} is no placeholder"),
        ("orders: all", "white space"),
        ("orders:\x01", "control characters"),
        ("{query.namespace}:all", "must not be in the namespace"),
        ("a{sub}:all", "must not be in the namespace"),
        ("orders:{header.authorization}", "is a secret"),
        ("orders:{query.access_token}", "is a secret"),
        ("orders:" + "{sub}" * 9, "more than 8 placeholders"),
        ("orders:" + "x" * MAX_CHANNEL_BYTES, "is longer"),
    ],
)
def test_a_bad_template_is_refused_when_it_is_read(template: str, why: str) -> None:
    """The text says what would be right."""
    with pytest.raises(TemplateError, match=why.replace("{", r"\{").replace("}", r"\}")):
        parse_template(template)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([], "is missing"),
        (["a", "b"], "is given more than once"),
        ([""], "is empty"),
        (["other:secret"], "has a character that is not allowed"),
        (["#bob"], "has a character that is not allowed"),
        (["a,b"], "has a character that is not allowed"),
        (["$x"], "has a character that is not allowed"),
        (["*"], "has a character that is not allowed"),
        (["{sub}"], "has a character that is not allowed"),
        (["a b"], "has a character that is not allowed"),
        (["a\n"], "has a character that is not allowed"),
        (["a\u2028"], "has a character that is not allowed"),
        (["\ud800"], "has a character that is not allowed"),
        (["x" * (MAX_VALUE_BYTES + 1)], f"is longer than {MAX_VALUE_BYTES} bytes"),
        (["ö" * MAX_VALUE_BYTES], f"is longer than {MAX_VALUE_BYTES} bytes"),
    ],
)
def test_a_bad_value_is_refused_with_the_name_of_its_placeholder(values: list[str], why: str) -> None:
    """The value itself is not repeated."""
    template = parse_template("orders:{query.id}")
    for attempt in (
        lambda: template.check_request(Values(query={"id": values})),
        lambda: template.channel(ALICE, Values(query={"id": values})),
    ):
        with pytest.raises(PlaceholderError) as caught:
            attempt()
        assert str(caught.value).startswith(f"{{query.id}}: {why}")


@pytest.mark.parametrize(
    ("template", "claims"),
    [
        ("#{sub}", Claims("")),
        ("user:{sub}", Claims("a:b")),
        ("user:{sub}", Claims("a,b")),
        ("user:{meta.tenant}", Claims("alice")),
        ("user:{meta.other}", ALICE),
        ("user:{meta.on}", ALICE),
        ("user:{meta.list}", ALICE),
        ("user:{meta.tenant}", Claims("alice", meta=b'"text"')),
        ("user:{meta.tenant}", Claims("alice", meta=b'{"tenant":"a:b"}')),
    ],
)
def test_claims_have_the_same_rules(template: str, claims: Claims) -> None:
    """An identity provider may have users with any name; none may get into another channel by it."""
    parsed = parse_template(template)
    with pytest.raises(PlaceholderError, match=str(parsed.placeholders[0]).replace("{", r"\{")):
        parsed.channel(claims, Values())


def test_a_name_that_gets_too_long_is_refused() -> None:
    template = parse_template("orders:" + "{query.id}" * 2)
    with pytest.raises(PlaceholderError, match=f"more than {MAX_CHANNEL_BYTES} bytes"):
        template.channel(ALICE, Values(query={"id": ["x" * MAX_VALUE_BYTES]}))


@pytest.mark.parametrize(
    ("template", "grants"),
    [
        ("orders:all", True),
        ("#{sub}", True),
        ("tenant:{meta.tenant}:{sub}", True),
        ("orders:{query.id}", False),
        ("user:{sub}:{query.id}", False),
        ("devices:{header.x-device}", False),
    ],
)
def test_a_template_grants_only_what_the_client_does_not_choose(template: str, grants: bool) -> None:
    assert parse_template(template).grants is grants


@given(st.text(max_size=200))
def test_no_value_leaves_its_place(value: str) -> None:
    """Whatever a client sends: the namespace stays, no user is named, and the value is one part of the channel."""
    template = parse_template("orders:{query.id}:end")
    try:
        name = template.channel(ALICE, Values(query={"id": [value]}))
    except PlaceholderError:
        return
    assert name == f"orders:{value}:end"
    assert namespace_of(name) == "orders" == template.namespace
    assert name.split(":") == ["orders", value, "end"]
    assert not {"#", ",", "$", "*", "?", " "} & set(name)
    assert 0 < len(value.encode()) <= MAX_VALUE_BYTES


@given(st.text(max_size=40))
def test_any_text_is_a_template_or_is_refused(text: str) -> None:
    """Reading raises TemplateError alone, and a template without placeholders is its own channel."""
    try:
        template = parse_template(text)
    except TemplateError:
        return
    if not template.placeholders:
        assert template.channel(ALICE, Values()) == text
    assert template.namespace == namespace_of(
        "".join(piece if isinstance(piece, str) else "value" for piece in template.pieces)
    )
