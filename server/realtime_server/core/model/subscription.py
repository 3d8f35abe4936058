"""Subscription of one connection to a channel."""

from __future__ import annotations

from realtime_server.core.model.grant import AS_THE_NAMESPACE, Override
from realtime_server.core.model.revocation import Credential


class Subscription:
    """Terms of a subscription.

    `info` is raw JSON that others see; `expires_at` is Unix time in seconds, None for never. `server_side`: made by the
    server (a token, a hook, the API) without a request of the client. `renewed_by_hook`: renewed by the backend on
    expiry, instead of by the client. `emits_join_leave`: others are told when it begins and ends. `present`: listed in
    presence, where the channel has presence. `override`: differences to the namespace. `credential`: the subscription
    token that granted it. `permitted`: allowed by nothing but the client's claims and the namespace.
    """

    __slots__ = (
        "channel", "credential", "delta", "emits_join_leave", "expires_at", "info", "override", "permitted", "present",
        "receives_join_leave", "renewed_by_hook", "server_side",
    )  # fmt: skip

    def __init__(
        self,
        channel: str,
        *,
        info: bytes | None = None,
        expires_at: float | None = None,
        renewed_by_hook: bool = False,
        server_side: bool = False,
        delta: bool = False,
        emits_join_leave: bool = False,
        receives_join_leave: bool = False,
        present: bool = True,
        override: Override = AS_THE_NAMESPACE,
        credential: Credential | None = None,
        permitted: bool = False,
    ) -> None:
        self.channel = channel
        self.info = info
        self.expires_at = expires_at
        self.renewed_by_hook = renewed_by_hook
        self.server_side = server_side
        self.delta = delta
        self.emits_join_leave = emits_join_leave
        self.receives_join_leave = receives_join_leave
        self.present = present
        self.override = override
        self.credential = credential
        self.permitted = permitted

    def renew(self, *, expires_at: float | None, info: bytes | None, renewed_by_hook: bool) -> None:
        """Continue under new terms."""
        self.expires_at = expires_at
        self.info = info
        self.renewed_by_hook = renewed_by_hook
