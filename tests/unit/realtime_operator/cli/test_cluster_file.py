"""Tests of cluster files: accepted forms, and the errors of others."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from realtime_operator.cli.cluster_file import read
from realtime_operator.errors import InputError
from tests.kit.refusals import REFUSALS, Refusal

CLUSTER = "apiVersion: realtime.dev/v1alpha1\nkind: RealtimeCluster\nmetadata: {name: chat}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\n"


def written(folder: Path, *documents: str) -> Path:
    """Write a file of these documents; return its path."""
    path = folder / "cluster.yaml"
    path.write_text("---\n".join(documents))
    return path


def test_a_cluster_its_secrets_and_what_means_nothing_here(tmp_path: Path) -> None:
    """The cluster and the values of Secrets (data and stringData) are read; other objects are listed as ignored."""
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
    secret = f"{SECRET}data: {{a: aGVsbG8=}}\nstringData: {{b: world}}\n"
    file = read(written(tmp_path, secret, service, f"{CLUSTER}spec: {{replicas: 3}}\n"))
    assert (file.name, file.spec, file.cluster.spec.replicas) == ("chat", {"replicas": 3}, 3)
    assert file.secrets == {"keys": {"a": "hello", "b": "world"}}
    assert file.ignored == ("Service web",)


def test_one_of_several_is_chosen_by_name(tmp_path: Path) -> None:
    """Without a name, or with an unknown one, the error lists the clusters."""
    path = written(tmp_path, CLUSTER, CLUSTER.replace("chat", "news"))
    assert read(path, "news").name == "news"
    with pytest.raises(InputError, match=r"2 clusters \(chat, news\): choose one with --name"):
        read(path)
    with pytest.raises(InputError, match="no RealtimeCluster named other; it has chat, news"):
        read(path, "other")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no object of kind RealtimeCluster; `realtime init`"),
        ("a: [", "is not YAML: .* line 1"),
        ("- 1", "a document that is not an object"),
        (CLUSTER.replace("v1alpha1", "v9"), "apiVersion: is realtime.dev/v9; this release reads realtime.dev/v1alpha1"),
        (f"{CLUSTER}spec: {{replicas: 2020-01-01}}\n", "a value that JSON cannot express .*date.* in quotes"),
        (f"{CLUSTER}spec: {{replicas: 2020-13-45}}\n", "a value that JSON cannot express .*month"),
        (f"{CLUSTER}spec: {{replicas: .nan}}\n", "a value that JSON cannot express"),
        (f"{CLUSTER}spec: {'[' * 500}{']' * 500}\n", "is nested too deeply"),
        (f"{CLUSTER}spec: &a {{server: *a}}\n", "a value that JSON cannot express .*Circular"),
        (f"{CLUSTER}spec:\n  replicas: 1\n  replicas: 3\n", "is not YAML: the key replicas appears twice .* line 6"),
        (CLUSTER.replace("{name: chat}", "[]"), "metadata: must be of type object"),
        (f"{CLUSTER}---\n{SECRET}data: {{a: '!'}}\n", "Secret keys: data.a: is not the base64 of a text"),
        (f"{CLUSTER}---\n{SECRET}data: {{a: é}}\n", "Secret keys: data.a: is not the base64 of a text"),
        (f"{CLUSTER}---\n{SECRET}data: {{a: /w==}}\n", "Secret keys: data.a: is not the base64 of a text"),
        (f"{CLUSTER}---\n{SECRET}data: {{a: null}}\n", r'Secret "keys" is invalid:\n  data\.a: must be of type string'),
        (f"{CLUSTER}---\n{SECRET}data: [a]\n", "data: must be of type object"),
        (f"{CLUSTER}---\n{SECRET}stringData: {{a: 6379}}\n", r"stringData\.a: must be of type string"),
        (f"{CLUSTER}---\n{SECRET}stringData: {{../a: b}}\n", "stringData.*: must be the key of a Secret"),
        (f"{CLUSTER}---\n{SECRET}stringData: {{..: b}}\n", "Secret keys: .. cannot be a key"),
        (f"{CLUSTER}---\n{SECRET.replace('keys', '../a')}", r"metadata\.name: must be the name of an object"),
        (f"{CLUSTER}---\n{SECRET.replace('name: keys', '')}", r"metadata\.name: Required value"),
        (f"{CLUSTER}spec: {{replicas: -1, server: {{limits: 7}}}}\n", r"spec\.replicas: .*\n.*spec\.server\.limits"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    """Errors name the file, the place, and what would be valid."""
    with pytest.raises(InputError, match=f"(?s)cluster.yaml: .*{message}"):
        read(written(tmp_path, text))


def test_a_base64_may_have_lines(tmp_path: Path) -> None:
    """Line breaks of the program base64 are ignored."""
    file = read(written(tmp_path, CLUSTER, f"{SECRET}data:\n  a: |\n    aGVs\n    bG8=\n"))
    assert file.secrets == {"keys": {"a": "hello"}}


def test_text_outweighs_data(tmp_path: Path) -> None:
    """Values of stringData override data, as on the API server."""
    file = read(written(tmp_path, CLUSTER, f"{SECRET}data: {{a: aGVsbG8=}}\nstringData: {{a: world}}\n"))
    assert file.secrets == {"keys": {"a": "world"}}


def test_anchors_and_merges_are_no_keys_twice(tmp_path: Path) -> None:
    """A key may override one of a YAML merge."""
    server = "spec:\n  server: &a {workers: 2}\n  pod: {labels: &b {x: y, z: z}, annotations: {<<: *b, x: other}}\n"
    spec = read(written(tmp_path, CLUSTER + server)).cluster.spec
    assert spec.pod.annotations == {"x": "other", "z": "z"}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file and one that is not text are refused."""
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read: No such file"):
        read(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not UTF-8"):
        read(tmp_path / "binary.yaml")


@pytest.mark.parametrize("refusal", REFUSALS, ids=[refusal.path for refusal in REFUSALS])
def test_it_says_what_the_api_server_says(tmp_path: Path, refusal: Refusal) -> None:
    """Findings have the same field and message as the API server's."""
    path = written(tmp_path, yaml.safe_dump(refusal.document))
    with pytest.raises(InputError) as refused:
        read(path)
    assert refusal.is_said_in(str(refused.value)), str(refused.value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("commonMetadata: {labels: {a b: c}}", "spec.commonMetadata.labels: 'a b' is not a valid key"),
        ("pod: {labels: {team: a b}}", "spec.pod.labels[team]: 'a b' is not a valid label value"),
        ("pod: {tolerations: [{key: a, tolerationSeconds: 5}]}", "tolerationSeconds needs the effect NoExecute"),
        ("endpoint: {proxies: {trusted: [10.0.0.1/8]}}", "spec.endpoint.proxies.trusted[0]: 10.0.0.1/8 has host bits"),
        (
            "pod: {template: {spec: {terminationGracePeriodSeconds: 1}}}",
            "terminationGracePeriodSeconds: must be at least",
        ),
    ],
)
def test_it_says_what_the_operator_says(tmp_path: Path, spec: str, said: str) -> None:
    """What the condition Accepted would report is said before the file is applied."""
    with pytest.raises(InputError) as refused:
        read(written(tmp_path, f"{CLUSTER}spec:\n  {spec}\n"))
    assert said in str(refused.value)
