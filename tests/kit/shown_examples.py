"""The objects that the documentation shows: in Markdown, in the chart's notes, and in examples/."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.chart import CHART, documents_of
from tests.kit.document import object_at

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(yaml|json)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
HERE_DOCUMENT = re.compile(r"<<'YAML'\n(.*?)^YAML$", flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Example:
    """A shown document and where it stands; a fragment has fields of a RealtimeCluster only."""

    place: str
    document: JsonObject

    @property
    def is_cluster(self) -> bool:
        """True for a RealtimeCluster or a fragment of one."""
        return self.document.get("kind", naming.KIND) == naming.KIND

    @property
    def whole(self) -> JsonObject:
        """The object to apply: a fragment with what it leaves out."""
        head: JsonObject = {"apiVersion": naming.API_VERSION, "kind": naming.KIND}
        metadata = object_at(self.document, "metadata") or {"name": "shown"}
        return {**head, **self.document, "metadata": metadata} if self.is_cluster else self.document


def shown_examples() -> list[Example]:
    """Return every YAML document that is shown."""
    texts = [
        (f"{path.relative_to(ROOT)}", body)
        for path in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
        for kind, body in BLOCK.findall(path.read_text())
        if kind == "yaml"
    ]
    notes = CHART / "templates" / "NOTES.txt"
    texts += [(notes.name, body) for body in HERE_DOCUMENT.findall(notes.read_text())]
    files = sorted([*(ROOT / "examples").glob("*.yaml"), *(ROOT / "examples").glob("*/*.yaml")])
    texts += [(f"{path.relative_to(ROOT)}", path.read_text()) for path in files]
    return [
        Example(f"{place}-{index}", document)
        for index, (place, text) in enumerate(texts)
        for document in documents_of(text)
    ]
