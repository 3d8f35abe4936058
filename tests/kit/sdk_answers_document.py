"""The table of SDKs' behaviour in docs/reference/error-codes.md, generated from the record of the runs.

python -m tests.kit.sdk_answers_document
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

from tests.kit.sdk_answers import (
    CUSTOM_DISCONNECT,
    CUSTOM_ERROR,
    CUSTOM_FINAL_DISCONNECT,
    CUSTOM_TEMPORARY_ERROR,
    OF_WEBSOCKET,
    REASONS,
    RECORD,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "error-codes.md"
BEGIN, END = "<!-- sdk-answers -->\n", "<!-- /sdk-answers -->\n"
LANGUAGES = {"javascript": "JavaScript", "python": "Python", "go": "Go", "java": "Java"}
COMMANDS = ("connect", "subscribe", "refresh", "sub_refresh", "publish")

Record: TypeAlias = Mapping[str, Mapping[str, str]]
"""Outcomes by answer and SDK."""


def read_record() -> Record:
    """Return the stored record."""
    return cast("Record", json.loads(RECORD.read_text()))


def newest(record: Record) -> list[str]:
    """Return the newest version of each SDK, in the order of the languages."""
    last = {name.split()[0]: name for name in next(iter(record.values()))}
    return [last[language] for language in LANGUAGES]


def title(sdk: str) -> str:
    """Return the heading of an SDK's column."""
    language, version = sdk.split()
    return f"{LANGUAGES[language]} {version}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def render(record: Record) -> str:
    """Return the generated part of the document."""
    sdks = newest(record)
    codes = [name.split()[1] for name in record if name.startswith("connect ")]
    errors = [[_custom(code), *(_joined(record[f"{command} {code}"], sdks) for command in COMMANDS)] for code in codes]
    closes = [[_code(name), *(record[name][sdk] for sdk in sdks)] for name in record if _is_plain(name, "connection")]
    ends = [[_code(name), *(record[name][sdk] for sdk in sdks)] for name in record if _is_plain(name, "subscription")]
    reasons = [
        [
            f"`{reason}`" if reason else "(empty)",
            str(code),
            *(record[f"connection {code} {reason!r}"][sdk] for sdk in sdks),
        ]
        for reason in REASONS
        for code in (3001, 3503)
    ]
    titles = [title(sdk) for sdk in sdks]
    return f"""\
Found by running {", ".join(title(sdk) for sdk in sdks)} against a server, each answer once (`make sdk-answers`).
What a client does:

- *stays*: the application is told of the error, and nothing else happens
- *tries again*: it asks the application for a token, and sends the command again
- *returns*: it connects or subscribes again by itself; *+ token*: with a new token of the application
- *ends*: it disconnects or unsubscribes for good

### Errors

{table(["code", *(f"`{command}`" for command in COMMANDS)], errors)}
### Close frames

{table(["code", *titles], closes)}
### Unsubscribe pushes

{table(["code", *titles], ends)}
### Reasons that are more than words

The server never sends these.
It puts the code's own reason in place of an empty one.
The API refuses a reason that is JSON, and such a reason of a hook gets `reason: ` before it.

{table(["reason", "code", *titles], reasons)}
### Older versions

Where they differ from the newest version of the same SDK:

{_differences(record, sdks)}"""


def _is_plain(name: str, place: str) -> bool:
    return name.startswith(f"{place} ") and "'" not in name


def _code(name: str) -> str:
    return _custom(name.split()[1])


def _custom(code: str) -> str:
    """Return a code, with an explanation if it stands for a range of codes."""
    return {
        str(CUSTOM_ERROR.code): "400 to 1999, of a hook",
        str(CUSTOM_TEMPORARY_ERROR.code): "the same, temporary",
        str(CUSTOM_DISCONNECT.code): "4000 to 4499",
        str(CUSTOM_FINAL_DISCONNECT.code): "4500 to 4999",
        **{str(code.code): f"{code.code} (WebSocket's own)" for code in OF_WEBSOCKET},
    }.get(code, code)


def _joined(outcomes: Mapping[str, str], sdks: Sequence[str]) -> str:
    """Return the most frequent outcome, and the others with the SDKs that have them."""
    by_outcome: defaultdict[str, list[str]] = defaultdict(list)
    for sdk in sdks:
        by_outcome[outcomes[sdk]].append(LANGUAGES[sdk.split()[0]])
    usual = max(by_outcome, key=lambda outcome: len(by_outcome[outcome]))
    others = [f"{', '.join(names)}: {outcome}" for outcome, names in by_outcome.items() if outcome != usual]
    return "; ".join([usual, *others])


def _differences(record: Record, sdks: Sequence[str]) -> str:
    """Return a table of the older versions' deviations, with answers of the same outcome merged."""
    found: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for name, outcomes in record.items():
        for sdk, outcome in outcomes.items():
            current = next(one for one in sdks if one.split()[0] == sdk.split()[0])
            if outcome != outcomes[current]:
                place, _, code = name.partition(" ")
                found[place, _custom(code), f"{outcome}, not {outcomes[current]}"].append(title(sdk))
    merged: defaultdict[tuple[str, str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (place, rest, what), who in found.items():
        merged[place, what, tuple(who)].append(rest)
    rows = [
        [", ".join(who), f"`{place}`" if place in COMMANDS else place, ", ".join(rests), what]
        for (place, what, who), rests in merged.items()
    ]
    return table(["SDK", "where", "codes", "outcome"], rows)


def with_part(document: str, part: str) -> str:
    """Return a document with this part between its marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"the document has no {BEGIN}"
    assert end, f"the document has no {END}"
    return f"{before}{BEGIN}\n{part}\n{END}{after}"


def main() -> None:
    """Write the document."""
    DOCUMENT.write_text(with_part(DOCUMENT.read_text(), render(read_record())))


if __name__ == "__main__":
    main()
