"""What every SDK makes of every answer of the server: found by running them, and kept in a file.

    python -m tests.kit.sdk_answers

Each answer is given once to one client, which may do for a while what it wants.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from realtime_operator.api.base import JsonObject
from realtime_server import codes
from realtime_server.codes import DisconnectCode, ErrorCode, UnsubscribeCode
from tests.kit.answering_proxy import CHANNEL, Answer, AnsweringProxy, Place
from tests.kit.clients import (
    CallRefusedError,
    ClientOptions,
    Connected,
    Connecting,
    Disconnected,
    Event,
    StockClients,
    Subscribed,
    Subscribing,
    Unsubscribed,
)
from tests.kit.sdk_programs import SDK_VERSIONS, SdkVersion
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token, subscription_token

RECORD = Path(__file__).parents[2] / "docs" / "reference" / "sdk-answers.json"
FIRST_LIFETIME = 3
"""Seconds of the tokens that are to be refreshed."""
ACT_SECONDS = 35
"""SDKs try a refresh again after 10 to 20 seconds."""
CALM_SECONDS = 3.0
"""A client that has not come back by then does not come back: it would within half a second."""


class Outcome(StrEnum):
    """What a client does after an answer. `+ token`: after it has asked its application for a new token."""

    STAYS = "stays"
    TRIES_AGAIN = "tries again"
    RETURNS = "returns"
    RETURNS_WITH_TOKEN = "returns + token"
    ENDS = "ends"


CUSTOM_ERROR = ErrorCode(400, "of a hook")
CUSTOM_TEMPORARY_ERROR = ErrorCode(401, "of a hook", temporary=True)
CUSTOM_DISCONNECT = DisconnectCode(4000, "of a hook")
CUSTOM_FINAL_DISCONNECT = DisconnectCode(4500, "of a hook")
OF_WEBSOCKET = (
    DisconnectCode(1001, "going away"),
    DisconnectCode(1002, "protocol error"),
    DisconnectCode(1007, "not UTF-8"),
    DisconnectCode(1009, "message too big"),
)
REASONS = ("", "12", "true", "null", '"text"', "[]", "{}", '{"reconnect": true}')
"""Reasons that an SDK may take for more than text."""


def catalogue(kind: type[ErrorCode | DisconnectCode | UnsubscribeCode]) -> list[Answer]:
    """Every code of a kind, by number, where it is given outside of replies."""
    found = sorted((code for code in vars(codes).values() if isinstance(code, kind)), key=lambda code: code.code)
    return [Answer("connection" if kind is DisconnectCode else "subscription", code) for code in found]


def all_answers() -> list[Answer]:
    """Every answer that there is; what the API or hooks may answer stands for all of its kind."""
    errors = [answer.code for answer in catalogue(ErrorCode)]
    commands: tuple[Place, ...] = ("connect", "subscribe", "refresh", "sub_refresh", "publish")
    in_replies = [Answer(place, code) for place in commands for code in (*errors, CUSTOM_ERROR, CUSTOM_TEMPORARY_ERROR)]
    further = (CUSTOM_DISCONNECT, CUSTOM_FINAL_DISCONNECT, *OF_WEBSOCKET)
    with_reasons = [DisconnectCode(code, reason) for code in (3001, 3503) for reason in REASONS]
    return [
        *in_replies,
        *catalogue(DisconnectCode),
        *(Answer("connection", code) for code in (*further, *with_reasons)),
        *catalogue(UnsubscribeCode),
        *(Answer("subscription", UnsubscribeCode(code, "")) for code in (2000, 2500)),
    ]


def name_of(answer: Answer) -> str:
    """Return the name of an answer in the record: its place, its code, and a reason that is not the code's usual one.

    Where the catalogue has a number twice, the first one is the usual one.
    """
    catalogued = [code for code in vars(codes).values() if isinstance(code, DisconnectCode | UnsubscribeCode)]
    usual = {code.code: code.reason for code in reversed(catalogued)}
    code = answer.code
    reason = (
        "" if isinstance(code, ErrorCode) or usual.get(code.code, code.reason) == code.reason else f" {code.reason!r}"
    )
    return f"{answer.place} {code.code}{reason}"


@dataclass
class Watched:
    """One client: what it was answered, what happened after, and how often it has asked for a token."""

    answer: Answer
    asked: int = 0
    refused: int | None = None
    """The code that a call of the application failed with."""
    events: list[Event] = field(default_factory=list)

    @property
    def first_asks(self) -> int:
        """Tokens that it asks for before the answer."""
        return 1 if self.answer.place in {"refresh", "sub_refresh"} else 0

    def outcome(self) -> Outcome | None:
        """What it did, as far as is seen; None for nothing yet."""
        place = self.answer.place
        asked = self.asked > self.first_asks
        subscription = place in {"subscribe", "sub_refresh", "subscription"}
        ends, comes, goes = (
            (Unsubscribed, Subscribed, Subscribing) if subscription else (Disconnected, Connected, Connecting)
        )
        seen = [event for event in self.events if isinstance(event, (ends, comes, goes))]
        welcomes = sum(isinstance(event, comes) for event in seen)
        if welcomes > (0 if place in {"connect", "subscribe"} else 1):
            return Outcome.RETURNS_WITH_TOKEN if asked else Outcome.RETURNS
        if seen and isinstance(seen[-1], ends):
            return Outcome.ENDS
        if asked and place in {"refresh", "sub_refresh"} and not isinstance(seen[-1], goes):
            return Outcome.TRIES_AGAIN
        return Outcome.STAYS if self.refused == self.answer.code.code else None


class Run:
    """One SDK with all answers at once."""

    def __init__(self, sdk: SdkVersion, server: ServerProcess, answers: Sequence[Answer]) -> None:
        self._sdk = sdk
        self._server = server
        self._proxy = AnsweringProxy(server.url, answers)
        self._watched = [Watched(answer) for answer in answers]
        self._seen = 0
        self._acts: set[asyncio.Task[None]] = set()
        self._users = [f"{sdk.name}-{number}" for number in range(len(answers))]

    async def outcomes(self) -> dict[str, Outcome]:
        """Run the clients until each has done something and all are calm."""
        async with self._proxy, self._sdk.make(self._options()) as clients:
            deadline = time.monotonic() + ACT_SECONDS
            calm_since = time.monotonic()
            while time.monotonic() < deadline:
                if self._follow(clients):
                    calm_since = time.monotonic()
                done = all(watched.outcome() is not None for watched in self._watched)
                if done and time.monotonic() > calm_since + CALM_SECONDS:
                    break
                await asyncio.sleep(0.05)
            await asyncio.gather(*self._acts)
        return {name_of(watched.answer): watched.outcome() or Outcome.STAYS for watched in self._watched}

    def _options(self) -> ClientOptions:
        lifetimes = [FIRST_LIFETIME if watched.answer.place == "refresh" else 3600 for watched in self._watched]
        return ClientOptions(
            endpoints=[self._proxy.url(number) for number in range(len(self._watched))],
            count=len(self._watched),
            tokens=[
                connection_token(TOKEN_SECRET, user, lifetime=lifetime)
                for user, lifetime in zip(self._users, lifetimes, strict=True)
            ],
            renew_token=self._renew,
            renew_subscription_token=self._renew_subscription,
            min_reconnect_delay=0.1,
            max_reconnect_delay=0.5,
            connects_per_second=100,
        )

    def _renew(self, client: int) -> str:
        self._watched[client].asked += 1
        return connection_token(TOKEN_SECRET, self._users[client])

    def _renew_subscription(self, client: int, channel: str) -> str:
        self._watched[client].asked += 1
        return subscription_token(TOKEN_SECRET, self._users[client], channel, exp=int(time.time()) + 3600)

    def _follow(self, clients: StockClients) -> bool:
        """Look at what has happened, and act where a client is ready for its answer; whether anything has happened."""
        events = clients.record.events[self._seen :]
        self._seen += len(events)
        for event in events:
            watched = self._watched[event.client]
            first = not any(isinstance(earlier, type(event)) for earlier in watched.events)
            watched.events.append(event)
            if first and isinstance(event, Connected | Subscribed):
                act = asyncio.create_task(self._act(clients, event))
                self._acts.add(act)
        return bool(events)

    async def _act(self, clients: StockClients, event: Connected | Subscribed) -> None:
        client, watched = event.client, self._watched[event.client]
        place = watched.answer.place
        if isinstance(event, Subscribed):
            if place == "subscription":
                async with self._server.api() as api:
                    await api.call("unsubscribe", user=self._users[client], channel=CHANNEL)
        elif place == "connection":
            await self._proxy.close(client)
        elif place == "publish":
            try:
                await clients.call(client, "publish", channel="open:room", data={})
            except CallRefusedError as refused:
                watched.refused = refused.code
        elif place in {"subscribe", "sub_refresh", "subscription"}:
            lifetime = FIRST_LIFETIME if place == "sub_refresh" else 3600
            token = subscription_token(TOKEN_SECRET, self._users[client], CHANNEL, exp=int(time.time()) + lifetime)
            await clients.call(client, "subscribe", channel=CHANNEL, name=CHANNEL, token=token, askToken=True)


async def record(sdks: Sequence[SdkVersion] = SDK_VERSIONS) -> dict[str, dict[str, str]]:
    """Run the SDKs, five at a time; outcomes by answer and SDK."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    turns = asyncio.Semaphore(5)

    async def run(sdk: SdkVersion, server: ServerProcess) -> None:
        async with turns:
            for name, outcome in (await Run(sdk, server, all_answers()).outcomes()).items():
                found[name][sdk.name] = outcome

    limits: JsonObject = {"connects_per_second": 10_000}
    with tempfile.NamedTemporaryFile("w") as secret:
        secret.write(TOKEN_SECRET)
        secret.flush()
        auth: JsonObject = {
            "token_keys": [{"algorithm": "HS256", "file": secret.name}],
            "leeway_seconds": 300,  # the server does not end what the SDK does not refresh
        }
        async with ServerProcess("answers", None, limits=limits, auth=auth) as server, asyncio.TaskGroup() as group:
            for sdk in sdks:
                group.create_task(run(sdk, server))
    names = [name_of(answer) for answer in all_answers()]
    return {name: {sdk.name: found[name][sdk.name] for sdk in sdks} for name in names}


def main() -> None:
    """Write the record."""
    for sdk in SDK_VERSIONS:
        sdk.install()
    RECORD.write_text(json.dumps(asyncio.run(record()), indent=1) + "\n")


if __name__ == "__main__":
    main()
