"""RFC 6455 and RFC 7692, case by case, with a client that sends every byte itself, at once or singly."""

from __future__ import annotations

import pytest

from tests.component.websocket import closing_cases, compression_cases, framing_cases, utf8_cases
from tests.component.websocket.case import Case
from tests.component.websocket.compression_cases import OFFER, OFFERS
from tests.component.websocket.fuzzing_client import CHOPS, Chop, answer_to, at_once, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")

CASES = (*framing_cases.CASES, *utf8_cases.CASES, *closing_cases.CASES)
COMPRESSED_WHERE_NEGOTIATED = {"3 reserved 4", "3 reserved 4 after a message", "3 reserved 4 before a ping"}
"""Cases whose only fault is a bit with a meaning under compression, which compression_cases covers."""
every_chop = pytest.mark.parametrize("chop", CHOPS.values(), ids=CHOPS.keys())


async def check(port: int, case: Case, chop: Chop, offer: str | None = None) -> None:
    """Assert that the server answers exactly as the case says and ends the connection."""
    answer = await answer_to(port, case, chop, offer)
    assert (answer.code, answer.messages, answer.pongs) == (case.code, list(case.echoed), list(case.pongs)), (
        answer.reason
    )


@every_chop
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_case(echo_port: int, case: Case, chop: Chop) -> None:
    """The answer does not depend on how the bytes arrive."""
    await check(echo_port, case, chop)


@every_chop
@pytest.mark.parametrize("case", compression_cases.CASES, ids=lambda case: case.name)
async def test_case_with_compression(compressing_port: int, case: Case, chop: Chop) -> None:
    """The answer does not depend on how the bytes arrive."""
    await check(compressing_port, case, chop, OFFER)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name not in COMPRESSED_WHERE_NEGOTIATED], ids=lambda case: case.name
)
async def test_case_without_compression_where_it_was_negotiated(compressing_port: int, case: Case) -> None:
    """Negotiated compression changes nothing for a client that does not use it."""
    await check(compressing_port, case, at_once, OFFER)


@pytest.mark.parametrize(("offer", "answer"), OFFERS.items(), ids=OFFERS.keys())
async def test_offers(compressing_port: int, offer: str, answer: str | None) -> None:
    """Section 13: unacceptable offers are declined, and the connection works with or without compression."""
    async with opened(compressing_port, offer=offer) as (_, _, headers):
        assert headers.get("sec-websocket-extensions") == answer
    case = next(case for case in CASES if case.name == "1 text of 65536")
    received = await answer_to(compressing_port, case, at_once, offer)
    assert received.messages == list(case.echoed)
    assert received.deflated == (0 if answer is None else 1)


async def test_what_the_server_does_not_compress_it_does_not_negotiate(echo_port: int) -> None:
    """Compression is off by default."""
    async with opened(echo_port, offer=OFFER) as (_, _, headers):
        assert "sec-websocket-extensions" not in headers
