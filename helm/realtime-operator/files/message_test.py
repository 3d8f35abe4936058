"""`helm test`: subscribe to a channel of a cluster, publish to it, and end with 0 when the message has arrived.

Arguments: URL of the clients' port, URL of the server API, file of the API key. Nothing but the standard library.
"""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

CHANNEL = "chat:helm-test"
CALL_SECONDS = 30


def publish(api: str, key: str, text: str) -> None:
    """Publish a message; raises OSError while the server does not answer."""
    body = json.dumps({"channel": CHANNEL, "data": {"text": text}}).encode()
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{api}/api/publish", body, headers)
    with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:
        document = json.load(answer)
    if "error" in document:
        raise SystemExit(f"the server refuses to publish: {document['error']}")


def receive(clients: str, api: str, key: str, text: str) -> None:
    """Subscribe, publish, and read until the message comes."""
    connect = urllib.parse.quote(json.dumps({"subs": {CHANNEL: {}}}))
    with urllib.request.urlopen(f"{clients}/connection/uni_sse?cf_connect={connect}", timeout=CALL_SECONDS) as stream:
        for line in stream:
            if not line.startswith(b"data:"):
                continue
            message = json.loads(line[5:])
            if "connect" in message:
                publish(api, key, text)
            elif message.get("pub", {}).get("data") == {"text": text}:
                return
    raise ConnectionError("the stream ended before the message came")


def main(clients: str, api: str, key_file: str) -> None:
    """Try until the servers run; the pod's activeDeadlineSeconds bounds it."""
    text = f"hello at {time.time()}"
    key = Path(key_file).read_text().strip()
    while True:
        try:
            receive(clients, api, key, text)
        except OSError as error:
            print(f"not yet: {error}", flush=True)
            time.sleep(1)
        else:
            print(f"published and received: {text}")
            return


main(*sys.argv[1:])
