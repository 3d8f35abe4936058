"""What another server asks of this worker: by the backplane's control channel, for the server API as a rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import structs

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.commands import subscribe
from realtime_server.core.control import messages as control
from realtime_server.core.control.survey import Surveys, matching
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.pushes import RefreshPush

if TYPE_CHECKING:
    from realtime_server.core.node import Node
    from realtime_server.core.sessions.session import Session


class ControlHandler:
    """Carries them out for the sessions of one node. Never raises."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.surveys = Surveys()

    def take(self, message: bytes) -> None:
        """Carry one out; one of another release is ignored."""
        order = control.decode(message)
        match order:
            case control.Disconnect():
                self._disconnect(order)
            case control.Unsubscribe():
                for session in self._sessions(order):
                    session.end_subscription(order.channel, codes.UNSUBSCRIBED)
            case control.Subscribe():
                self._subscribe(order)
            case control.Refresh():
                for session in self._sessions(order):
                    _refresh(session, order)
            case control.Emulate():
                self._node.take_emulated(order)
            case control.AskChannels():
                self._tell_channels(order)
            case control.TellChannels():
                self.surveys.take(order.ident, order.worker, order.channels, complete=order.complete)
            case control.Announce():
                self._node.note_worker(order.to_info())

    def _sessions(
        self, order: control.Disconnect | control.Unsubscribe | control.Subscribe | control.Refresh
    ) -> Iterable[Session]:
        return self._node.sessions_of(order.user, order.client, order.session)

    def _disconnect(self, order: control.Disconnect) -> None:
        for session in self._sessions(order):
            if session.client not in order.spared:
                session.disconnect(DisconnectCode(order.code, order.reason))

    def _subscribe(self, order: control.Subscribe) -> None:
        grant = Grant(info=order.info, data=order.data, expires_at=order.expires_at, override=order.override)
        for session in self._sessions(order):
            work = subscribe.subscribe_server_side(session, order.channel, grant, order.since)
            self._node.spawn(work, f"subscribe-{order.channel}")

    def _tell_channels(self, order: control.AskChannels) -> None:
        found, complete = matching(order.pattern, self._node.hub.subscriber_counts())
        answer = control.TellChannels(order.ident, self._node.uid, found, complete)
        self._node.spawn(self._node.tell(answer, order.worker), "tell-channels")


def _refresh(session: Session, order: control.Refresh) -> None:
    if order.expired:
        session.disconnect(codes.CONNECTION_EXPIRED)
        return
    if session.claims is None:
        return
    session.claims = structs.replace(session.claims, expires_at=order.expires_at, renewed_by_hook=False)
    if not session.welcome:
        return  # the answer to its connect command will say so
    if order.expires_at is None:
        session.push("", RefreshPush(expires=False))
    else:
        session.push("", RefreshPush(expires=True, ttl=session.seconds_until(order.expires_at)))
