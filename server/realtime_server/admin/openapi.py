"""OpenAPI document of the server API, generated from the types that it decodes and encodes.

Source: OpenAPI 3.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version
from typing import TypeAlias, cast

import msgspec
from msgspec import Struct

from realtime_server.admin import api_messages
from realtime_server.admin.api_examples import EXAMPLES, Example
from realtime_server.admin.api_handlers import METHODS

PATH = "/api/openapi.json"
BATCH_SUMMARY = "Several commands in one call: a reply for each"

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
JsonObject: TypeAlias = dict[str, Json]

DESCRIPTION = """\
For backends of applications. It has the methods, names and answers of Centrifugo's server API, and methods for the
sockets of Socket.IO: `emit`, `join`, `leave`, `sockets`.

A call that was understood is answered with status 200 and either `result` or `error`. Error 100 is temporary: the
backplane did not answer, and a publication may have been delivered all the same; with an `idempotency_key` the call can
be repeated. A field that is not documented is refused, and so is one that would have no effect.
"""
REFUSALS = {
    "400": ("BadBody", "The body is not JSON.", "the body is not JSON: JSON is malformed: ..."),
    "401": ("NoKey", "No key, or not a key of this server.", "unauthorized: send the API key in the header X-API-Key"),
    "413": ("TooLarge", "The body is too large.", "the body is larger than 8388608 bytes"),
    "429": (
        "TooManyCalls",
        "The key has used up its calls per second. A batch counts as its commands.",
        "too many requests: the key shop has used up its calls per second",
    ),
}
"""Answers whose error code is the HTTP status: name, meaning, and an example of a message."""


@lru_cache(maxsize=1)
def encoded() -> bytes:
    """Return the document as indented JSON, identical on all servers of a release."""
    return json.dumps(document(), indent=2).encode() + b"\n"


def document() -> JsonObject:
    """Build the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Server API",
            "version": version("realtime-operator"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The API port of any server of the cluster."}],
        "security": [{"header": []}, {"authorization": []}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": {
            **{f"/api/{name}": {"post": _operation(name)} for name in (*METHODS, "batch")},
            PATH: {"get": _open_operation("openapi", "This document")},
            "/health": {"get": _open_operation("health", "Whether this server listens")},
        },
        "components": {
            "securitySchemes": _security_schemes(),
            "schemas": _schemas(),
            "responses": _refusals(),
        },
    }


TAGS = {
    "publications": "What is said in channels.",
    "connections": "Who is connected, on whichever server.",
    "sockets": "Clients of Socket.IO, by their rooms.",
    "channels": "What channels keep, and who is in them.",
    "cluster": "Servers, and calls as such.",
}
TAG_OF = {
    **dict.fromkeys(("publish", "broadcast"), "publications"),
    **dict.fromkeys(("emit", "join", "leave", "sockets"), "sockets"),
    **dict.fromkeys(("subscribe", "unsubscribe", "disconnect", "send", "refresh", "revoke"), "connections"),
    **dict.fromkeys(("presence", "presence_stats", "history", "history_remove", "channels"), "channels"),
    **dict.fromkeys(("info", "batch", "openapi", "health"), "cluster"),
}


def _operation(name: str) -> JsonObject:
    found = METHODS.get(name)
    request = api_messages.Batch if found is None else found.request
    answer = _object({"replies": {"type": "array", "items": _ref("Reply")}})
    if found is not None:
        answer = _object({"result": _ref(found.result.__name__)})
    return {
        "operationId": name,
        "tags": [TAG_OF[name]],
        "summary": BATCH_SUMMARY if found is None else found.summary,
        "requestBody": {"required": found is None or bool(_required(request)), "content": _json(
            _ref(request.__name__), {example.name: {"value": example.request} for example in EXAMPLES[name]}
        )},
        "responses": _answers(answer, EXAMPLES[name]),
    }  # fmt: skip


def _answers(answer: JsonObject, examples: Iterable[Example]) -> JsonObject:
    shown: JsonObject = {example.name: {"value": example.answer} for example in examples}
    return {
        "200": {
            "description": "The call was understood: its result, or why it failed.",
            "content": _json({"oneOf": [answer, _ref("Failure")]}, shown),
        },
        **{status: _ref(name, "responses") for status, (name, _, _) in REFUSALS.items()},
        "403": _ref("NotAllowed", "responses"),
    }


def _open_operation(name: str, summary: str) -> JsonObject:
    """Describe an operation that needs no key."""
    answer: JsonObject = {"description": summary + ".", "content": _json({"type": "object"}, {})}
    return {
        "operationId": name, "tags": [TAG_OF[name]], "summary": summary, "security": [], "responses": {"200": answer},
    }  # fmt: skip


def _security_schemes() -> JsonObject:
    return {
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The key."},
        "authorization": {
            "type": "apiKey", "in": "header", "name": "Authorization", "description": "`apikey KEY`.",
        },
    }  # fmt: skip


def _refusals() -> JsonObject:
    refusals: JsonObject = {
        name: {
            "description": meaning,
            "content": _json(_status_error(int(status)), {"refused": {"value": _failure(int(status), message)}}),
        }
        for status, (name, meaning, message) in REFUSALS.items()
    }
    too_many = cast("JsonObject", refusals["TooManyCalls"])
    too_many["headers"] = {
        "Retry-After": {"description": "When it may call again.", "schema": {"type": "integer", "minimum": 1}}
    }
    denied = _failure(103, "permission denied: the key shop is not for disconnect")
    refusals["NotAllowed"] = {
        "description": "The key is not for this method, or not for these channels. In a batch the reply says so.",
        "content": _json(_ref("Failure"), {"refused": {"value": denied}}),
    }
    return refusals


def _schemas() -> JsonObject:
    """Generate the schemas of all types, and those of failures and of a batch's commands and replies."""
    kinds: list[type[Struct]] = [api_messages.Batch, api_messages.Error]
    for method in METHODS.values():
        kinds += [method.request, method.result]
    _, found = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schemas = cast("JsonObject", found)
    commands = {name: _ref(method.request.__name__) for name, method in METHODS.items()}
    results = {name: _ref(method.result.__name__) for name, method in METHODS.items()}
    schemas["Command"] = _one_of_fields("The name of a method, and what it takes.", commands)
    schemas["Reply"] = _one_of_fields(
        "The name of the method and its result, or an error.", {**results, "error": _ref("Error")}
    )
    schemas["Failure"] = _object({"error": _ref("Error")})
    batch = cast("dict[str, dict[str, JsonObject]]", schemas["Batch"])
    batch["properties"]["commands"]["items"] = _ref("Command")
    return schemas


def _status_error(status: int) -> JsonObject:
    return _object({"error": _object({"code": {"const": status}, "message": {"type": "string"}})})


def _failure(code: int, message: str) -> JsonObject:
    return {"error": {"code": code, "message": message}}


def _one_of_fields(description: str, fields: Mapping[str, Json]) -> JsonObject:
    return {
        "type": "object", "description": description, "properties": dict(fields), "additionalProperties": False,
        "minProperties": 1, "maxProperties": 1,
    }  # fmt: skip


def _object(fields: Mapping[str, Json]) -> JsonObject:
    """Describe an object with exactly these fields."""
    required: list[Json] = list(fields)
    return {"type": "object", "properties": dict(fields), "required": required, "additionalProperties": False}


def _required(kind: type[Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(kind) if field.required]


def _json(schema: JsonObject, examples: JsonObject) -> JsonObject:
    content: JsonObject = {"schema": schema}
    if examples:
        content["examples"] = examples
    return {"application/json": content}


def _ref(name: str, where: str = "schemas") -> JsonObject:
    return {"$ref": f"#/components/{where}/{name}"}
