"""A receiver of OTLP over HTTP in a pod, which servers reach by the name of its Service."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass

from realtime_operator.api.base import JsonObject
from tests.kit.collector import Span, spans_in
from tests.kit.deadline import eventually
from tests.kit.kube import CONTAINER_SECURITY, POD_SECURITY, Kube, is_ready

NAME, PORT = "collector", 4318
READY_SECONDS = 60
SPANS_SECONDS = 30
PRINT = f"""
import base64, http.server, sys
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        words = self.path, self.headers["Content-Encoding"], base64.b64encode(body).decode()
        sys.stdout.write(" ".join(words) + "\\n")  # at once: threads may write at the same time
        sys.stdout.flush()
        self.send_response(200)
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("", {PORT}), Receiver).serve_forever()
"""
"""Program that prints every request, so that the pod's log has them all."""


@dataclass(frozen=True, slots=True)
class CollectorPod:
    """The receiver in the namespace of `kube`; `image` is any with Python."""

    kube: Kube
    image: str

    @property
    def endpoint(self) -> str:
        """Address for `spec.tracing`."""
        return f"http://{NAME}.{self.kube.namespace}.svc:{PORT}"

    async def start(self) -> None:
        """Create pod and Service, and wait until the pod listens."""
        await self.kube.apply(*self._manifests())
        await self.kube.wait_for("pods", NAME, is_ready, what="the collector is ready", within=READY_SECONDS)

    async def spans(self) -> list[Span]:
        """Return all spans that were received."""
        requests = [line.split() for line in (await self.kube.logs(NAME, NAME)).splitlines()]
        assert all(words[:2] == ["/v1/traces", "gzip"] for words in requests), requests
        return [span for *_, body in requests for span in spans_in(gzip.decompress(base64.b64decode(body)))]

    async def wait_for(self, count: int) -> list[Span]:
        """Wait until so many spans were received."""
        return await eventually(
            self.spans, lambda spans: len(spans) >= count, what=f"{count} spans", within=SPANS_SECONDS, every=0.5
        )

    def _manifests(self) -> tuple[JsonObject, JsonObject]:
        labels: JsonObject = {"app": NAME}
        metadata: JsonObject = {"name": NAME, "labels": labels}
        container: JsonObject = {
            "name": NAME,
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-c", PRINT],
            "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
            "securityContext": CONTAINER_SECURITY,
        }
        spec: JsonObject = {
            "containers": [container],
            "securityContext": POD_SECURITY,
            "terminationGracePeriodSeconds": 0,
        }
        return (
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {"selector": labels, "ports": [{"port": PORT}]},
            },
        )
