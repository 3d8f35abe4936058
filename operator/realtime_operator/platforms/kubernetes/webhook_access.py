"""Access of the API server to the webhook: a certificate, the trust in it, and a path that nobody else knows.

The certificate is in a Secret that all processes of the operator share; whichever finds it missing or near its end
issues another one. Its authority and the path are in the ValidatingWebhookConfiguration, all else of which is the
chart's. A process uses the certificate of a new authority one look after the first in which the configuration had it,
whichever process has written it there: the API server has had the time to learn of it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import secrets
import ssl
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at, objects_at, text_at
from realtime_operator.api.v1alpha1_certificate import KEY_AUTHORITY, KEY_CERTIFICATE, KEY_PRIVATE_KEY
from realtime_operator.builders.redis.secret import KEY_AUTHORITY_KEY
from realtime_operator.errors import NotFoundError, PlatformError
from realtime_operator.planning.credentials.generated_certificate import next_issue
from realtime_operator.platforms.certificate_authority import issue
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of

logger = structlog.get_logger()

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
KEYS = (KEY_AUTHORITY, KEY_AUTHORITY_KEY, KEY_CERTIFICATE, KEY_PRIVATE_KEY)
LOOK_SECONDS = 30.0
"""Seconds between two looks at the Secret and the configuration."""
LEARN_SECONDS = 3.0
"""Seconds after the first look, in which the API server learns of the authority; it watches configurations."""
RETRY_SECONDS = 2.0
"""Seconds after which a look that failed is repeated."""

_PATH = re.compile(r"/evictions/[0-9a-f]{32}")


class KnownAuthority:
    """Follows one process's looks, to tell when the API server has had the time to learn of an authority."""

    def __init__(self) -> None:
        self._previous: bytes | None = None
        """The authority that the configuration had after the previous look."""

    def look(self, authority: bytes, *, announced: bool) -> bool:
        """Note a look; return True when the configuration has had the authority for one look or more.

        `announced`: the configuration had it before this look, from whichever process.
        """
        before, self._previous = self._previous, authority
        return announced and before == authority


class WebhookAccess:
    """Keeps `context` and `path` for the webhook's server.

    `name` is that of the ValidatingWebhookConfiguration, and of the Secret in `namespace`. `path` is empty until the
    first look, and no handshake succeeds before. `obstacle` says why the API server cannot call this process yet; once
    it is None it remains so.
    """

    def __init__(
        self,
        client: KubernetesClient,
        name: str,
        namespace: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._name = name
        self._namespace = namespace
        self._clock = clock
        self._served: Mapping[str, bytes] = {}
        self._authority = KnownAuthority()
        self.obstacle: str | None = "its certificate is not known yet"
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.path = ""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except PlatformError as error:
                logger.warning("webhook without access", webhook=self._name, error=str(error))
                if self.obstacle is not None:
                    self.obstacle = str(error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await asyncio.sleep(LOOK_SECONDS if self.obstacle is None else LEARN_SECONDS)

    async def look(self) -> None:
        """Issue the certificate if it is due, tell the API server of it, and use it; raises PlatformError."""
        path = f"{CONFIGURATIONS}/{self._name}"
        try:
            configuration = await self._client.get(path)
        except NotFoundError:
            self.obstacle = None  # nobody calls, and nothing is waited for
            raise
        secret_path = path_in(configuration) or f"/evictions/{secrets.token_hex(16)}"
        values = await self._certificate(hosts_of(configuration))
        wanted = with_access(configuration, secret_path, values[KEY_AUTHORITY], self._clock())
        announced = wanted == objects_at(configuration, "webhooks")
        if not announced:
            version = text_at(configuration, "metadata", "resourceVersion")
            await self._client.patch(path, {"metadata": {"resourceVersion": version}, "webhooks": [*wanted]})
        self.path = secret_path
        learned = self._authority.look(values[KEY_AUTHORITY], announced=announced)
        if learned or not self._served:
            self._serve(values)
        if learned:
            self.obstacle = None
        elif self.obstacle is not None:
            self.obstacle = "the API server is learning of its certificate"

    async def _certificate(self, hosts: tuple[str, ...]) -> dict[str, bytes]:
        """Return the values of the Secret, newly issued if they are missing, foreign or near their end.

        Raises ConflictError when another process has written it at the same time.
        """
        path = path_of("v1", "Secret", self._namespace, self._name)
        try:
            live: JsonObject | None = await self._client.get(path)
        except NotFoundError:
            live = None
        values = {key: base64.b64decode(text_at(live or {}, "data", key)) for key in KEYS}
        present = {key: hashlib.sha256(value).hexdigest() for key, value in values.items() if value}
        metadata: JsonObject = {"name": self._name, "namespace": self._namespace}
        manifest: JsonObject = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata}
        action = next_issue(manifest, hosts, live, present, self._clock())
        if action is None:
            return values
        issued = issue(values, action)
        data: JsonObject = {key: base64.b64encode(value).decode() for key, value in issued.values.items()}
        if live is None:
            await self._client.create(path_of("v1", "Secret", self._namespace), {**issued.manifest, "data": data})
        else:
            versioned: JsonObject = {
                **object_at(issued.manifest, "metadata"),
                "resourceVersion": action.resource_version,
            }
            await self._client.apply(path, {**issued.manifest, "metadata": versioned, "data": data})
        logger.info("certificate issued", webhook=self._name, hosts=hosts, until=action.not_after.isoformat())
        return dict(issued.values)

    def _serve(self, values: Mapping[str, bytes]) -> None:
        """Use the certificate for connections from now on."""
        if values == self._served:
            return
        with tempfile.TemporaryDirectory() as folder:  # the standard library reads certificates from files only
            certificate, key = Path(folder, KEY_CERTIFICATE), Path(folder, KEY_PRIVATE_KEY)
            certificate.write_bytes(values[KEY_CERTIFICATE])
            key.write_bytes(values[KEY_PRIVATE_KEY])
            self.context.load_cert_chain(certificate, key)
        self._served = values


def hosts_of(configuration: JsonObject) -> tuple[str, ...]:
    """Return the names by which the API server calls the webhooks of a configuration."""
    clients = [object_at(webhook, "clientConfig") for webhook in objects_at(configuration, "webhooks")]
    hosts = {
        urlsplit(text_at(client, "url")).hostname or ""
        if text_at(client, "url")
        else f"{text_at(client, 'service', 'name')}.{text_at(client, 'service', 'namespace')}.svc"
        for client in clients
    }
    return tuple(sorted(hosts))


def path_in(configuration: JsonObject) -> str | None:
    """Return the path that an operator has written to a configuration; None when none has.

    Whoever else reaches the port does not know it, and so cannot ask for drains.
    """
    clients = [object_at(webhook, "clientConfig") for webhook in objects_at(configuration, "webhooks")]
    paths = [text_at(client, "service", "path") or urlsplit(text_at(client, "url")).path for client in clients]
    return next((path for path in paths if _PATH.fullmatch(path)), None)


def with_access(configuration: JsonObject, path: str, authority: bytes, now: datetime) -> list[JsonObject]:
    """Return the webhooks of a configuration with the path and the trusted certificates."""
    webhooks: list[JsonObject] = []
    for webhook in objects_at(configuration, "webhooks"):
        client = object_at(webhook, "clientConfig")
        bundle = trusted(base64.b64decode(text_at(client, "caBundle")), authority, now)
        given: JsonObject = {"caBundle": base64.b64encode(bundle).decode()}
        if text_at(client, "url"):
            given["url"] = urlunsplit(urlsplit(text_at(client, "url"))._replace(path=path))
        else:
            given["service"] = {**object_at(client, "service"), "path": path}
        webhooks.append({**webhook, "clientConfig": {**client, **given}})
    return webhooks


def trusted(bundle: bytes, authority: bytes, now: datetime) -> bytes:
    """Return the authority, and one former authority of the bundle while it is valid, as PEM.

    Processes that have not seen a new authority yet still answer with a certificate of the former one.
    """
    current = x509.load_pem_x509_certificate(authority)
    former = [one for one in _read(bundle) if one != current and one.not_valid_after_utc > now]
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (current, *former[:1]))


def _read(bundle: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(bundle)
    except ValueError:
        return []
