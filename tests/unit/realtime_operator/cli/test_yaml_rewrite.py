"""Tests of the conversion of files: edits, what is kept, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.cli.__main__ import main
from realtime_operator.cli.yaml_rewrite import convert
from realtime_operator.errors import InputError

FOLDER = Path(__file__).parents[3] / "fixtures" / "conversion"
FORMER, CONVERTED = (FOLDER / name for name in ("former.yaml", "converted.yaml"))
HEAD = "kind: RealtimeCluster\napiVersion: realtime.dev/v1alpha1\nmetadata: {name: chat}\n"


def test_a_file_is_converted_and_keeps_its_comments() -> None:
    """Several documents in block and flow style with quotes; other kinds are kept byte by byte."""
    result = convert(FORMER.read_text(), "former.yaml")
    assert result.text == CONVERTED.read_text()
    assert "spec.image.pullSecrets is replaced by spec.pod.imagePullSecrets: [{name: registry}, {name: other}]" in str(
        result
    )
    for document in yaml.safe_load_all(result.text):
        if document["kind"] == "RealtimeCluster":
            RealtimeCluster.from_object(document)


@pytest.mark.parametrize("indent", [None, 2, 4])
def test_json_stays_json(indent: int | None) -> None:
    """On one line, or indented as it was."""
    former, converted = (
        [one for one in yaml.safe_load_all(file.read_text()) if one["kind"] == "RealtimeCluster"]
        for file in (FORMER, CONVERTED)
    )
    for before, after in zip(former, converted, strict=True):
        text = convert(json.dumps(before, indent=indent), "former.json").text
        assert json.loads(text) == after
        assert text == json.dumps(json.loads(text), indent=indent)


def test_every_comment_is_there_once() -> None:
    """A comment moves with its field."""
    before, after = FORMER.read_text(), convert(FORMER.read_text(), "former.yaml").text
    comments = [line.partition("# ")[2] for line in before.splitlines() if "# " in line]
    assert len(comments) > 10
    assert [after.count(f"# {comment}\n") for comment in comments] == [1] * len(comments)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "  image:\n    pullSecrets: [a]   # x\n  pod: {labels: {a: b}}\n",
            "  image: {}\n  pod: {labels: {a: b}, imagePullSecrets: [{name: a}]}  # x\n",
        ),
        (
            "  image:\n    pullSecrets: [a]   # x\n\n  # y\n  replicas: 3\n",
            "  image: {}\n  pod: {imagePullSecrets: [{name: a}]}  # x\n\n  # y\n  replicas: 3\n",
        ),
    ],
    ids=["into what is there", "beside what is there"],
)
def test_a_field_moves_to_another_object(spec: str, expected: str) -> None:
    converted = convert(f"{HEAD}spec:\n{spec}", "a").text
    assert converted.split() == f"{HEAD}spec:\n{expected}".split()


def test_a_converted_file_has_nothing_to_convert() -> None:
    """A converted file is not changed by a second conversion."""
    text = CONVERTED.read_text()
    assert convert(text, "a") == type(convert(text, "a"))(text, ())


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "{hooks: {events: {url: 'http://a', disconnects: false}}}",
            "hooks.events.disconnects: no type of event is enabled",
        ),
        (
            "{auth: {anonymous: true, audience: a, audiences: [b]}}",
            "spec.auth.audience: spec.auth.audiences is also set",
        ),
        ("{server: {compression: {enabled: 'on'}}}", "spec.server.compression.enabled: must be true or false"),
        (
            "{hooks: {rpc: &a {url: 'http://a'}, connect: *a}, auth: {anonymous: true}}",
            "the alias *a refers to another",
        ),
        ("{auth: {anonymous: true}, weather: fine}", "spec.weather: is not a known field"),
    ],
)
def test_what_cannot_be_converted_is_refused(spec: str, expected: str) -> None:
    """The error has the file, the cluster, the field and the reason."""
    with pytest.raises(InputError, match=r"file\.yaml: RealtimeCluster") as caught:
        convert(f"{HEAD}spec: {spec}\n", "file.yaml")
    assert expected in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2\n", "- a\n", "a: &x {b: *x}\n"])
def test_what_is_no_file_of_objects_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"file\.yaml: "):
        convert(text, "file.yaml")


def test_in_place_writes_only_what_has_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only a summary is printed; when one file is refused none is written."""
    old, new, bad = (tmp_path / name for name in ("old.yaml", "new.yaml", "bad.yaml"))
    old.write_text(FORMER.read_text())
    new.write_text(CONVERTED.read_text())
    bad.write_text(f"{HEAD}spec: {{weather: fine}}\n")
    stamp = new.stat().st_mtime_ns
    assert main(["convert", "--in-place", str(old), str(bad)]) == 2
    assert old.read_text() == FORMER.read_text()
    assert main(["convert", "-i", str(old), str(new)]) == 0
    assert (old.read_text(), new.stat().st_mtime_ns) == (CONVERTED.read_text(), stamp)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"{new}: nothing to convert" in printed.err


def test_it_prints_what_it_converts(capsys: pytest.CaptureFixture[str]) -> None:
    """The text is written to standard output, the summary to standard error."""
    assert main(["convert", str(FORMER)]) == 0
    printed = capsys.readouterr()
    assert printed.out == CONVERTED.read_text()
    assert "RealtimeCluster second: spec.auth.anonymous is now Allow" in printed.err
    assert main(["convert", "--in-place", "-"]) == 2
