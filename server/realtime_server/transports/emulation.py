"""`POST /emulation`: commands of clients that receive by SSE or HTTP streaming.

The request may reach any worker of the cluster, which forwards it to the session's worker. 204 means that it was
forwarded, not that the session still exists: its client sees that by its stream. 404 is for a worker that is not alive,
so that the client reconnects at once.
"""

from __future__ import annotations

from aiohttp import web

from realtime_server.core.model.errors import BackplaneError, UnknownNodeError
from realtime_server.core.node import Node
from realtime_server.protocols.centrifuge.emulation import decode_json, decode_protobuf
from realtime_server.transports.http_server import HttpRequest, RequestRefusedError

PATH = "/emulation"
METHODS = ("POST",)


class EmulationEndpoint:
    """Endpoint that forwards commands to their sessions."""

    def __init__(self, node: Node, frame_bytes: int) -> None:
        self._node = node
        self._frame_bytes = frame_bytes

    async def __call__(self, asked: HttpRequest) -> web.StreamResponse:
        """Answer one request. Raises RequestRefusedError."""
        body = await asked.body()
        decode = decode_protobuf if asked.binary else decode_json
        request = decode(body)
        if request is None:
            raise RequestRefusedError(400, "the body is no object with node, session and data", "malformed")
        if len(request.data) > self._frame_bytes:
            raise RequestRefusedError(413, f"data is larger than {self._frame_bytes} bytes", "too_large")
        try:
            await self._node.emulate(request.node, request.session, request.data)
        except UnknownNodeError as error:
            raise RequestRefusedError(404, "this node does not live", "unknown_node") from error
        except BackplaneError as error:
            raise RequestRefusedError(503, "the node cannot be reached now", "backplane") from error
        return web.Response(status=204, headers={"Cache-Control": "no-store"})
