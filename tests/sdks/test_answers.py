"""What SDKs make of the server's answers is what is recorded."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.kit.sdk_answers import record
from tests.kit.sdk_answers_document import read_record
from tests.kit.sdk_programs import SDK_VERSIONS


@pytest.mark.timeout(300)
async def test_the_record_is_still_true() -> None:
    """Every answer, given to every SDK; `make sdk-answers` writes what is found."""
    for sdk in SDK_VERSIONS:
        sdk.install()
    kept: Mapping[str, Mapping[str, str]] = read_record()
    found = await record()
    differences = {
        (name, sdk): (kept[name][sdk], outcome)
        for name, outcomes in found.items()
        for sdk, outcome in outcomes.items()
        if kept[name][sdk] != outcome
    }
    assert differences == {}, "answer and SDK: recorded, found"
