"""Backend of the chat example: the pages, tokens for their users, and the room as it is now. Python's library alone.

It trusts the name that a user types. Yours checks a login, and makes a token for the user that has logged in.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hmac
import json
import os
import re
import time
import urllib.request
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

HERE = Path(__file__).parent
PAGES = {
    "/": ("index.html", "text/html"),
    "/centrifuge.html": ("centrifuge.html", "text/html"),
    "/socket-io.html": ("socket-io.html", "text/html"),
    "/chat.css": ("chat.css", "text/css"),
    "/chat.js": ("chat.js", "text/javascript"),
    "/centrifuge.js": ("centrifuge.js", "text/javascript"),
    "/socket-io.js": ("socket-io.js", "text/javascript"),
}
SDKS = {
    "/sdk/centrifuge.js": "centrifuge/dist/centrifuge.js",
    "/sdk/socket.io.js": "socket.io-client/dist/socket.io.min.js",
}
NAME = re.compile(r"[^\s:#,$*?{}]{1,32}")
TOKEN_SECONDS = 600
HISTORY = 50
API_SECONDS = 5


class Backend(ThreadingHTTPServer):
    """HTTP server with the cluster's addresses and credentials."""

    def __init__(self, port: int, modules: Path, clients: str, api: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.modules = modules
        self.clients = clients
        self._api = api
        self._secret = os.environ["TOKEN_SECRET"].encode()
        self._key = os.environ["API_KEY"]

    def token(self, name: str) -> str:
        """Return a token for a user: a JSON Web Token with HS256."""
        claims = {"sub": name, "exp": int(time.time()) + TOKEN_SECONDS}
        signed = b".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        return b".".join((signed, _base64(hmac.digest(self._secret, signed, "sha256")))).decode()

    def room(self, channel: str) -> object:
        """Return the last messages of a channel, oldest first, and who is there."""
        history = self._call("history", {"channel": channel, "limit": HISTORY, "reverse": True})
        members = self._call("presence", {"channel": channel})["presence"].values()
        messages = [publication["data"] for publication in reversed(history["publications"])]
        return {"messages": messages, "members": [{"user": one["user"], "client": one["client"]} for one in members]}

    def _call(self, method: str, parameters: dict[str, object]) -> dict:
        request = urllib.request.Request(
            f"{self._api}/{method}", json.dumps(parameters).encode(), {"X-API-Key": self._key}
        )
        with urllib.request.urlopen(request, timeout=API_SECONDS) as response:
            answer = json.load(response)
        if "error" in answer:
            raise OSError(answer["error"]["message"])
        return answer["result"]


class Handler(BaseHTTPRequestHandler):
    """Handler of one connection."""

    server: Backend
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a request."""
        url = urlsplit(self.path)
        if url.path in PAGES:
            file, kind = PAGES[url.path]
            self._file(HERE / file, kind)
        elif url.path in SDKS:
            self._file(self.server.modules / SDKS[url.path], "text/javascript")
        elif url.path == "/token":
            self._token(parse_qs(url.query).get("name", [""])[0])
        elif url.path == "/room":
            self._room(parse_qs(url.query).get("name", [""])[0])
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"there is nothing here", "text/plain")

    def _token(self, name: str) -> None:
        if NAME.fullmatch(name):
            self._json({"token": self.server.token(name), "url": self.server.clients})
        else:
            self._answer(HTTPStatus.BAD_REQUEST, b"a name has 1 to 32 letters without : # , $ * ? { }", "text/plain")

    def _room(self, name: str) -> None:
        if not NAME.fullmatch(name):
            self._answer(HTTPStatus.BAD_REQUEST, b"name must be that of a room", "text/plain")
            return
        try:
            found = self.server.room(f"chat:{name}")
        except (OSError, ValueError) as error:
            self._answer(HTTPStatus.BAD_GATEWAY, f"the cluster did not answer: {error}".encode(), "text/plain")
        else:
            self._json(found)

    def _file(self, path: Path, kind: str) -> None:
        try:
            self._answer(HTTPStatus.OK, path.read_bytes(), kind)
        except FileNotFoundError:
            self._answer(HTTPStatus.NOT_FOUND, b"run: npm install", "text/plain")

    def _json(self, document: object) -> None:
        self._answer(HTTPStatus.OK, json.dumps(document).encode(), "application/json")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'self'; img-src data:; connect-src *")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the library
        """Log nothing."""


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--clients", default="http://127.0.0.1:8000", help="address of the cluster for clients")
    parser.add_argument("--api", default="http://127.0.0.1:8001/api", help="address of the server API")
    parser.add_argument("--modules", type=Path, default=HERE / "node_modules", help="folder of npm's packages")
    options = parser.parse_args()
    missing = [name for name in ("TOKEN_SECRET", "API_KEY") if not os.environ.get(name)]
    if missing:
        parser.error(f"set {' and '.join(missing)}: see README.md")
    with Backend(options.port, options.modules, options.clients, options.api) as backend:
        print(f"http://127.0.0.1:{options.port}/", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            backend.serve_forever()


if __name__ == "__main__":
    main()
