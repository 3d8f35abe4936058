"""Tests of the strategic merge patch; tests/apiserver compares it with that of the API server."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.pods.strategic_merge import PatchError, strategic_merge

ORIGINAL: JsonObject = {
    "hostNetwork": False,
    "securityContext": {"runAsUser": 1, "fsGroup": 2},
    "tolerations": [{"key": "a"}],
    "containers": [
        {"name": "server", "args": ["run"], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"name": "sidecar"},
    ],
}


def merged(patch: JsonObject) -> JsonObject:
    """Return the original with a patch."""
    return strategic_merge(ORIGINAL, patch)


def test_objects_are_merged_and_values_replaced() -> None:
    patched = merged({"hostNetwork": True, "securityContext": {"runAsUser": 7}, "dnsPolicy": "None"})
    assert patched["hostNetwork"] is True
    assert patched["securityContext"] == {"runAsUser": 7, "fsGroup": 2}
    assert patched["dnsPolicy"] == "None"


def test_lists_are_merged_by_key_or_replaced() -> None:
    """Containers and variables have a key, tolerations and arguments have none."""
    server: JsonObject = {"name": "server", "args": ["serve"], "env": [{"name": "B", "value": "3"}, {"name": "C"}]}
    patched = merged({"tolerations": [], "containers": [server]})
    assert patched["tolerations"] == []
    assert patched["containers"] == [
        {
            "name": "server",
            "args": ["serve"],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C"}],
        },
        {"name": "sidecar"},
    ]


def test_the_original_is_not_changed() -> None:
    before = str(ORIGINAL)
    merged(
        {"containers": [{"name": "server", "env": [{"name": "A", "value": "9"}]}], "securityContext": {"fsGroup": 3}}
    )
    assert str(ORIGINAL) == before


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"securityContext": {"$patch": "replace", "runAsUser": 7}}, {"securityContext": {"runAsUser": 7}}),
        ({"securityContext": {"$patch": "delete"}}, {"securityContext": {}}),
        ({"affinity": {"$patch": "delete"}}, {"affinity": None}),
        ({"containers": [{"name": "server", "$patch": "delete"}]}, {"containers": [{"name": "sidecar"}]}),
        ({"containers": [{"$patch": "replace"}, {"name": "other"}]}, {"containers": [{"name": "other"}]}),
        (
            {"volumes": [{"$patch": "replace"}, {"name": "a"}, {"name": "b", "$patch": "delete"}]},
            {"volumes": [{"name": "a"}]},
        ),
    ],
    ids=str,
)
def test_directives(patch: JsonObject, expected: JsonObject) -> None:
    """An object or an item may be deleted, an object or a list replaced."""
    patched = merged(patch)
    assert {key: patched.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("patch", "path", "message"),
    [
        ({"$retainKeys": ["a"]}, ("$retainKeys",), "use \\$patch"),
        (
            {"containers": [{"name": "server", "$setElementOrder/env": []}]},
            ("containers", 0, "$setElementOrder/env"),
            "",
        ),
        ({"securityContext": {"$patch": "merge"}}, ("securityContext", "$patch"), "must be replace or delete"),
        ({"containers": [{"name": "a", "$patch": "x"}]}, ("containers", 0, "$patch"), "must be replace or delete"),
        ({"containers": [{"image": "a"}]}, ("containers", 0), "needs name"),
        ({"containers": ["a"]}, ("containers", 0), "must be an object"),
        ({"tolerations": [{"$patch": "delete", "key": "a"}]}, ("tolerations", 0), "replaced as a whole"),
        ({"affinity": {"$patch": "replace"}}, ("affinity", "$patch"), "has nothing to replace"),
    ],
    ids=str,
)
def test_what_cannot_be_applied_is_refused(patch: JsonObject, path: tuple[str | int, ...], message: str) -> None:
    """The error has the place in the patch."""
    with pytest.raises(PatchError, match=message or None) as refused:
        merged(patch)
    assert refused.value.path == path
