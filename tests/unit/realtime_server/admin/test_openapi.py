"""OpenAPI document of the server API."""

from __future__ import annotations

import json

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from realtime_operator.api.base import JsonObject
from realtime_server import codes
from realtime_server.admin import api_messages, openapi
from realtime_server.admin.api_examples import EXAMPLES, Example
from realtime_server.admin.api_handlers import METHODS
from realtime_server.codes import ErrorCode
from tests.kit.document import dig, object_at, parse
from tests.unit.realtime_server.admin.api_site import Site


@pytest.fixture(scope="module")
def document() -> JsonObject:
    """Return the document as served."""
    return parse(openapi.encoded())


ALL_EXAMPLES = [(method, example) for method, examples in EXAMPLES.items() for example in examples]


def validator(document: JsonObject, *path: str) -> Draft202012Validator:
    """Return a validator of requests or answers."""
    schema = object_at(document, *path, "content", "application/json", "schema")
    return Draft202012Validator({**schema, "components": document["components"]})


def test_it_is_openapi(document: JsonObject) -> None:
    """A foreign validator accepts the document as OpenAPI 3.1."""
    validate(document, cls=OpenAPIV31SpecValidator)


def test_every_method_is_in_it(document: JsonObject) -> None:
    """All methods are present, with examples; only the document itself and the health need no key."""
    paths = object_at(document, "paths")
    assert set(paths) == {*(f"/api/{method}" for method in (*METHODS, "batch")), "/api/openapi.json", "/health"}
    assert set(EXAMPLES) == {*METHODS, "batch"}
    operations = {path: operation for path in paths for operation in object_at(paths, path).values()}
    open_ones = {
        path for path, operation in operations.items() if isinstance(operation, dict) and "security" in operation
    }
    assert open_ones == {"/api/openapi.json", "/health"}


@pytest.mark.parametrize(("method", "example"), ALL_EXAMPLES, ids=lambda value: getattr(value, "name", value))
def test_examples_are_what_the_server_takes_and_answers(document: JsonObject, method: str, example: Example) -> None:
    """The examples match the schemas of the document and the server's types."""
    path = ("paths", f"/api/{method}", "post")
    validator(document, *path, "requestBody").validate(example.request)
    validator(document, *path, "responses", "200").validate(example.answer)
    kind = api_messages.Batch if method == "batch" else METHODS[method].request
    msgspec.json.decode(json.dumps(example.request), type=kind)
    if isinstance(example.answer, dict) and "result" in example.answer:
        msgspec.json.decode(json.dumps(example.answer["result"]), type=METHODS[method].result)


def test_an_answer_of_another_shape_is_told_from_one_of_this(document: JsonObject) -> None:
    """The validator of answers refuses an answer of another shape."""
    of_publish = validator(document, "paths", "/api/publish", "post", "responses", "200")
    wrong: list[JsonObject] = [
        {"result": {"offset": "7"}}, {"result": {}, "error": {}}, {"error": {"code": 1, "message": ""}}, {},
    ]  # fmt: skip
    for answer in wrong:
        assert not of_publish.is_valid(answer)


def test_the_catalogue_of_errors_is_closed(document: JsonObject) -> None:
    """The schema lists the errors of the API with their meaning, without those that only clients get."""
    error = object_at(document, "components", "schemas", "Error", "properties", "code")
    known = {value.code: value for value in vars(codes).values() if isinstance(value, ErrorCode)}
    listed = [int(str(code)) for code in error["enum"]] if isinstance(error["enum"], list) else []
    assert error["description"] == "\n".join(f"- {code}: {known[code].message}" for code in listed)
    assert set(listed) == {100, 102, 103, 104, 106, 107, 108, 112}


@pytest.mark.parametrize("method", [*METHODS, "batch"])
def test_a_body_is_needed_where_a_field_is(document: JsonObject, method: str) -> None:
    """The body is required where one of its fields is, so that generated clients are right."""
    needed = dig(document, "paths", f"/api/{method}", "post", "requestBody", "required")
    assert needed is (method not in {"channels", "disconnect", "info", "revoke", "send", "sockets"})


async def test_it_is_served_to_everybody(site: Site, document: JsonObject) -> None:
    """The document needs no key: tools read it, and it contains nothing specific to a server."""
    async with site.session.get(f"{site.address}/api/openapi.json") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        assert await response.json() == document
