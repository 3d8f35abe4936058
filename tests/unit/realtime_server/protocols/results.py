"""Hypothesis strategies for all messages of a server to its clients."""

from __future__ import annotations

import json

from hypothesis import strategies as st
from msgspec import Raw

from realtime_server import codes
from realtime_server.core.model.commands import (
    ConnectResult,
    EmptyResult,
    HistoryResult,
    PresenceResult,
    PresenceStatsResult,
    RefreshResult,
    Result,
    RpcResult,
    SubRefreshResult,
    SubscribeResult,
)
from realtime_server.core.model.publication import Content, pack
from realtime_server.core.model.pushes import (
    DisconnectPush,
    JoinPush,
    LeavePush,
    Push,
    RefreshPush,
    SubscribePush,
    UnsubscribePush,
)
from realtime_server.core.model.values import ClientInfo, HistoryPage, Publication, StreamPosition

TEXTS = st.text(max_size=20)
NUMBERS = st.integers(0, 2**32 - 1)
OFFSETS = st.integers(0, 2**53)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
).map(lambda value: json.dumps(value, ensure_ascii=False).encode())
RAW = st.just(Raw()) | JSON.map(Raw)
INFOS = st.builds(ClientInfo, TEXTS, TEXTS, st.none() | JSON, st.none() | JSON)
CONTENTS = st.builds(Content, JSON, st.none() | INFOS, st.none() | st.dictionaries(TEXTS, TEXTS, max_size=3))
ANY_CONTENTS = CONTENTS | st.builds(Content, st.binary(max_size=50), st.none() | INFOS, binary=st.just(True))
PUBLICATIONS = st.lists(st.builds(Publication, CONTENTS.map(pack), OFFSETS), max_size=3).map(tuple)

SUBSCRIBE_RESULTS = st.builds(
    SubscribeResult,
    recoverable=st.booleans(),
    positioned=st.booleans(),
    epoch=TEXTS,
    offset=OFFSETS,
    publications=PUBLICATIONS,
    recovered=st.booleans(),
    was_recovering=st.booleans(),
    expires=st.booleans(),
    ttl=NUMBERS,
    data=RAW,
)
CONNECT_RESULTS = st.builds(
    ConnectResult,
    client=TEXTS,
    version=TEXTS,
    ping=NUMBERS,
    pong=st.booleans(),
    expires=st.booleans(),
    ttl=NUMBERS,
    subs=st.dictionaries(TEXTS, SUBSCRIBE_RESULTS, max_size=2),
    data=RAW,
    session=TEXTS,
    node=TEXTS,
)
RESULTS: st.SearchStrategy[Result] = st.one_of(
    SUBSCRIBE_RESULTS,
    CONNECT_RESULTS,
    st.builds(RefreshResult, TEXTS, TEXTS, st.booleans(), NUMBERS),
    st.builds(SubRefreshResult, st.booleans(), NUMBERS),
    st.builds(RpcResult, RAW),
    st.builds(EmptyResult, st.sampled_from(("unsubscribe", "publish"))),
    st.builds(PresenceResult, st.dictionaries(TEXTS, INFOS, max_size=3)),
    st.builds(PresenceStatsResult, NUMBERS, NUMBERS),
    st.builds(HistoryResult, st.builds(HistoryPage, PUBLICATIONS, st.builds(StreamPosition, OFFSETS, TEXTS))),
)
PUSHES: st.SearchStrategy[Push] = st.one_of(
    st.builds(JoinPush, INFOS),
    st.builds(LeavePush, INFOS),
    st.builds(SubscribePush, st.booleans(), TEXTS, OFFSETS, st.booleans(), RAW),
    st.builds(UnsubscribePush, NUMBERS, TEXTS),
    st.builds(DisconnectPush, NUMBERS, TEXTS, st.booleans()),
    st.builds(RefreshPush, st.booleans(), NUMBERS),
)
ERRORS = st.sampled_from([code for code in vars(codes).values() if isinstance(code, codes.ErrorCode)])
