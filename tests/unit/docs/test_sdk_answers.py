"""The record of SDKs is whole, is what error-codes.md says, and has each code do what it is meant for."""

from __future__ import annotations

import pytest

from realtime_server.codes import DisconnectCode, ErrorCode, UnsubscribeCode, is_json
from tests.kit.answering_proxy import Answer
from tests.kit.sdk_answers import Outcome, all_answers, name_of
from tests.kit.sdk_answers_document import DOCUMENT, read_record, render, with_part
from tests.kit.sdk_programs import SDK_VERSIONS

RECORD = read_record()
RETURNS = {Outcome.RETURNS, Outcome.RETURNS_WITH_TOKEN}

WHY_NOT = {
    "refresh": (
        {"python 0.4.4", "python 0.5.2", "python 0.6.0", "go 0.12.1"},
        "the SDK does nothing after an error; the connection is closed with 3005 in the end, and it returns",
    ),
    "sub_refresh": (
        {"python 0.4.4", "python 0.5.2", "python 0.6.0"},
        "the SDK does nothing after an error; the subscription is ended with 2501 in the end, and it returns",
    ),
    "connection 1009": (
        {sdk.name for sdk in SDK_VERSIONS if sdk.language == "javascript"},
        "WebSocket's own code, which this SDK alone takes for final",
    ),
}
"""Who does otherwise than is meant, and why the server lives with it; by command, or by one answer."""


def is_meant(answer: Answer, outcome: str) -> bool:
    """Whether an outcome is what the code is there for: temporary codes bring clients back, final ones end them."""
    code = answer.code
    match code:
        case DisconnectCode():
            return outcome in RETURNS if code.reconnect else outcome == Outcome.ENDS
        case UnsubscribeCode():
            return outcome in RETURNS if code.resubscribe else outcome == Outcome.ENDS
        case ErrorCode() if answer.place == "publish":
            return outcome == Outcome.STAYS
        case ErrorCode() if answer.place in {"connect", "subscribe"} and code.code == 109:
            return outcome == Outcome.RETURNS_WITH_TOKEN
        case ErrorCode():
            return (outcome in {*RETURNS, Outcome.TRIES_AGAIN}) if code.temporary else outcome == Outcome.ENDS


def test_the_record_has_every_answer_and_every_sdk() -> None:
    """A code that is added, or a version, needs `make sdk-answers`."""
    assert list(RECORD) == [name_of(answer) for answer in all_answers()]
    assert {tuple(outcomes) for outcomes in RECORD.values()} == {tuple(sdk.name for sdk in SDK_VERSIONS)}


def test_the_document_says_what_was_recorded() -> None:
    """`make docs` writes it."""
    text = DOCUMENT.read_text()
    assert with_part(text, render(RECORD)) == text


def is_sent(answer: Answer) -> bool:
    """Whether the server ever gives this answer: it has no reasons by which an SDK would decide instead of the code."""
    code = answer.code
    return not isinstance(code, DisconnectCode) or (bool(code.reason) and not is_json(code.reason))


@pytest.mark.parametrize("answer", [answer for answer in all_answers() if is_sent(answer)], ids=name_of)
def test_every_code_makes_every_sdk_do_what_it_is_meant_for(answer: Answer) -> None:
    """Or there is a reason why not."""
    name = name_of(answer)
    others = {sdk for sdk, outcome in RECORD[name].items() if not is_meant(answer, outcome)}
    excused, _ = WHY_NOT.get(name) or WHY_NOT.get(answer.place) or (set(), "")
    assert others <= excused


def test_no_excuse_is_left_over() -> None:
    """Each is of an SDK that does otherwise."""
    for key, (sdks, _) in WHY_NOT.items():
        found = {
            sdk
            for answer in all_answers()
            if key in {answer.place, name_of(answer)}
            for sdk, outcome in RECORD[name_of(answer)].items()
            if not is_meant(answer, outcome)
        }
        assert found == sdks, key
