"""Subscriptions of clients, on their request or by the server."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from msgspec import Raw, structs

from realtime_server import codes
from realtime_server.core.auth.permissions import may_see_presence, may_subscribe
from realtime_server.core.channels.hub import Hub
from realtime_server.core.channels.join import Join, Wanted
from realtime_server.core.limits.limit import Limit, NodeLimits
from realtime_server.core.metrics.counters import Counters
from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.commands import SubscribeResult
from realtime_server.core.model.errors import CommandError, DisconnectRequestedError
from realtime_server.core.model.grant import PERMITTED, PLAIN, Grant
from realtime_server.core.model.publication import content_in
from realtime_server.core.model.subscription import Subscription
from realtime_server.core.operations.entry import Entry
from realtime_server.core.ports.backend import RENEW_AGAIN_SECONDS, Backend, Hook, Refreshed
from realtime_server.core.sessions.session import Session


class Subscriptions:
    """Subscriber on behalf of clients. `wall_clock` is Unix time in seconds."""

    def __init__(
        self,
        hub: Hub,
        entry: Entry,
        backend: Backend,
        limits: NodeLimits,
        counters: Counters,
        *,
        wall_clock: Callable[[], float],
    ) -> None:
        self._hub = hub
        self._entry = entry
        self._backend = backend
        self._limits = limits
        self._counters = counters
        self._wall_clock = wall_clock

    # a client asks

    async def subscribe(
        self, session: Session, channel: str, wanted: Wanted, *, data: bytes, token: str
    ) -> Join | None:
        """Prepare a subscription that a client asks for; None when the client has gone meanwhile.

        `data` is for the backend. Raises CommandError, DisconnectRequestedError or BackplaneError, and then nothing is
        left of it; CommandError PERMISSION_DENIED also when it is revoked meanwhile.
        """
        options = self._hub.require(channel)
        if channel in session.subscriptions:
            raise CommandError(codes.ALREADY_SUBSCRIBED)
        if len(session.subscriptions) >= self._limits.channels_per_connection:
            self._counters.limits[Limit.CHANNELS_PER_CONNECTION] += 1
            raise CommandError(codes.LIMIT_EXCEEDED)
        with session.attempt(channel):
            if self._backend.asks(Hook.SUBSCRIBE, channel):
                grant = await self.grant(session, channel, data=data, token=token)
                if session.closed:
                    return None
            else:
                grant = self._own_grant(session, channel, options, token)
            join = await self.join(session, channel, wanted, grant)
        if channel in session.subscriptions:  # by the server meanwhile
            join.abandon()
            raise CommandError(codes.ALREADY_SUBSCRIBED)
        return join

    async def grant(self, session: Session, channel: str, *, data: bytes, token: str) -> Grant:
        """Return the grant under which a client may subscribe. Raises CommandError or DisconnectRequestedError."""
        if self._backend.asks(Hook.SUBSCRIBE, channel):
            grant = await self._backend.subscribe(session.caller(), channel, data, token)
            if grant is not None:
                return grant
        return self._own_grant(session, channel, self._hub.require(channel), token)

    def _own_grant(self, session: Session, channel: str, options: ChannelOptions, token: str) -> Grant:
        """Return the grant of a token, or that of the namespace's rules. Raises CommandError."""
        if token or self._entry.ignores_tokens:
            return self._entry.verify_subscription(token, channel=channel, user=session.user)
        if session.claims is None or not may_subscribe(session.claims, channel, options):
            raise CommandError(codes.PERMISSION_DENIED)
        return PERMITTED

    async def join(self, session: Session, channel: str, wanted: Wanted, grant: Grant) -> Join:
        """Prepare a subscription under the conditions of a grant. Raises CommandError or BackplaneError.

        Who may not ask who is there is not told who comes.
        """
        if wanted.receives_join_leave and not self._may_see_presence(session, channel):
            wanted = structs.replace(wanted, receives_join_leave=False)
        join = await self._hub.join(session, channel, wanted, grant)
        if grant is not PLAIN and grant is not PERMITTED:
            join.result = _with_grant(join.result, grant, session)
        return join

    async def join_all(
        self, session: Session, wanted: Mapping[str, tuple[Wanted, Grant]], *, own: Collection[str]
    ) -> list[Join]:
        """Prepare the subscriptions that come with a connection: all of them or none.

        A channel of its `own`, which it has not asked for, is left out when it was revoked meanwhile. Raises
        CommandError, PERMISSION_DENIED also when any other channel was revoked, or BackplaneError.
        """
        joined: list[Join] = []
        try:
            for channel, (what, grant) in wanted.items():
                if is_left(session, channel, own):
                    joined.append(await self.join(session, channel, what, grant))
            left = [join for join in joined if is_left(session, join.channel, own)]
        except BaseException:
            for join in joined:
                join.abandon()
            raise
        for join in joined:
            if join not in left:
                join.abandon()
        return left

    def _may_see_presence(self, session: Session, channel: str) -> bool:
        options, claims = self._hub.require(channel), session.claims
        return claims is not None and may_see_presence(claims, channel, options, subscribed=True)

    def require_known(self, channel: str) -> None:
        """Raise CommandError UNKNOWN_CHANNEL for a channel of an unknown namespace."""
        self._hub.require(channel)

    def require_room(self, channels: int) -> None:
        """Raise DisconnectRequestedError when a connect has too many channels, which the client cannot reduce."""
        if channels > self._limits.channels_per_connection:
            self._counters.limits[Limit.CHANNELS_PER_CONNECTION] += 1
            raise DisconnectRequestedError(codes.CHANNEL_LIMIT)

    # the server subscribes

    async def subscribe_server_side(
        self, session: Session, channel: str, grant: Grant, since: tuple[int, str] | None
    ) -> bool:
        """Subscribe a client without its request; `since`: it has everything up to this offset of this epoch.

        Return False when the client has as many channels as it may have. It is left alone then, and when it has the
        channel, has ended, or its subscription is revoked meanwhile. Raises BackplaneError.
        """
        offset, epoch = since or (0, "")
        wanted = Wanted(
            recover=since is not None,
            offset=offset,
            epoch=epoch,
            receives_join_leave=True,
            server_side=True,
        )
        try:
            with session.attempt(channel):
                await session.welcomed()
                if not self._has_room(session, channel):
                    return channel in session.subscriptions or session.closed
                join = await self.join(session, channel, wanted, grant)
        except CommandError:
            return True
        if not self._has_room(session, channel):  # any more, because of another call
            join.abandon()
            return channel in session.subscriptions or session.closed
        if since is None:
            join.skip_arrivals()
        session.push(channel, join.push())
        for publication in join.result.publications:
            frames = session.codec.publication(channel, content_in(publication), publication.offset)
            session.connection.write(frames)
        join.complete()
        return True

    def _has_room(self, session: Session, channel: str) -> bool:
        if channel in session.subscriptions or session.closed or not session.fits(channel):
            return False
        full = len(session.subscriptions) >= self._limits.channels_per_connection
        self._counters.limits[Limit.CHANNELS_PER_CONNECTION] += full
        return not full

    # going on

    def refresh(self, session: Session, channel: str, token: str) -> Grant:
        """Let a subscription go on with a new token. Raises CommandError.

        A token that has expired already ends the subscription before, after which an SDK asks its application for
        another one: the error in the reply does not make all of them do so.
        """
        subscription = session.subscriptions.get(channel)
        if subscription is None:
            raise CommandError(codes.PERMISSION_DENIED)
        if not token:
            raise CommandError(codes.BAD_REQUEST)
        try:
            grant = self._entry.verify_subscription(token, channel=channel, user=session.user)
        except CommandError as refused:
            if refused.error is codes.TOKEN_EXPIRED:
                session.end_subscription(channel, codes.UNSUBSCRIBED_EXPIRED)
            raise
        self._hub.options_of_subscription(channel, grant)
        session.renew_subscription_by(subscription, grant)
        return grant

    def follow(self, session: Session, channel: str, grant: Grant) -> None:
        """Let a subscription begin anew if its refreshed token has another `override`; after that was answered."""
        subscription = session.subscriptions.get(channel)
        if subscription is not None and subscription.override != grant.override:
            session.end_subscription(channel, codes.UNSUBSCRIBED_INSUFFICIENT_STATE)

    async def renew(self, session: Session, channel: str, subscription: Subscription) -> None:
        """Ask the backend to renew an expired subscription; it goes on for a while if the backend cannot be asked."""
        try:
            answer = await self._backend.sub_refresh(session.caller(), channel)
        except DisconnectRequestedError as wanted:
            session.disconnect(wanted.code)
            return
        except CommandError:
            answer = Refreshed(expired=True)
        if session.subscriptions.get(channel) is not subscription:
            return
        if answer is None:
            answer = Refreshed(self._wall_clock() + RENEW_AGAIN_SECONDS)
        if answer.expired:
            session.end_subscription(channel, codes.UNSUBSCRIBED_EXPIRED)
            return
        info = answer.info or subscription.info
        session.renew_subscription(subscription, answer.expires_at, info, renewed_by_hook=subscription.renewed_by_hook)


def is_left(session: Session, channel: str, own: Collection[str]) -> bool:
    """Return False for a channel that was revoked meanwhile. Raises CommandError if it is none of its `own`."""
    if not session.is_revoked(channel):
        return True
    if channel not in own:
        raise CommandError(codes.PERMISSION_DENIED)
    return False


def _with_grant(result: SubscribeResult, grant: Grant, session: Session) -> SubscribeResult:
    """Return the result of a subscription with the conditions of its grant."""
    if grant.data is not None:
        result = structs.replace(result, data=Raw(grant.data))
    if grant.expires_at is None or grant.renewed_by_hook:
        return result
    return structs.replace(result, expires=True, ttl=session.seconds_until(grant.expires_at))
