"""Generated Protobuf module of client.proto."""

from __future__ import annotations

from pathlib import Path

from grpc_tools import protoc

SOURCE = Path(__file__).parents[4] / "server"
SCHEMA = "realtime_server/protocols/centrifuge/client.proto"


def test_the_generated_module_is_current(tmp_path: Path) -> None:
    """`make proto` was run after the last change of the schema."""
    options = [f"-I{SOURCE}", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    assert protoc.main(["protoc", *options, SCHEMA]) == 0
    for suffix in ("_pb2.py", "_pb2.pyi"):
        name = SCHEMA.replace(".proto", suffix)
        assert (tmp_path / name).read_text() == (SOURCE / name).read_text(), f"{name}: run `make proto`"
