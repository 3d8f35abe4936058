"""The exporter beside a managed Redis, and the ACL user that it reads the metrics as."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1_managed_redis import RedisExporter
from realtime_operator.builders.pods import container, pod

IMAGE = "docker.io/oliver006/redis_exporter:v1.74.0"
"""Default image."""
REQUESTS: container.Quantities = {"cpu": "10m", "memory": "32Mi"}
LIMITS: container.Quantities = {"memory": "128Mi"}

NAME = "exporter"
"""Name of the container and of the ACL user."""
PASSWORD_FILE = f"{naming.REDIS_CREDENTIALS_DIRECTORY}/{naming.KEY_EXPORTER_PASSWORD}"
COMMANDS = "+ping +select +client|setname +info +latency +slowlog|len"
"""Commands that give numbers only: no keys, no channels, no configuration, which has the password of servers."""
USER = f"""
  printf 'user {NAME} on ">%s" {COMMANDS}\\n' "$(quoted "$(cat {PASSWORD_FILE})")\""""
"""Program that prints the line of the user for Redis' configuration."""


def exporter_container(exporter: RedisExporter, secret: str, *, tls: bool) -> JsonObject:
    """Build the container; `secret` has the password of its user.

    It reaches Redis over loopback, where the certificate is not verified.
    """
    password: JsonObject = {"secretKeyRef": {"name": secret, "key": naming.KEY_EXPORTER_PASSWORD}}
    values = {
        "REDIS_ADDR": f"{'rediss' if tls else 'redis'}://127.0.0.1:{naming.PORT_REDIS}",
        "REDIS_USER": NAME,
        "REDIS_EXPORTER_CONFIG_COMMAND": "-",
        **({"REDIS_EXPORTER_SKIP_TLS_VERIFICATION": "true"} if tls else {}),
    }
    environment: list[JsonValue] = [{"name": name, "value": value} for name, value in values.items()]
    port: JsonObject = {
        "name": naming.PORT_NAME_EXPORTER, "containerPort": naming.PORT_EXPORTER, "protocol": "TCP",
    }  # fmt: skip
    return {
        "name": NAME,
        "image": exporter.image or IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "env": [*environment, {"name": "REDIS_PASSWORD", "valueFrom": password}],
        "ports": [port],
        "resources": container.merge_resources(exporter.resources, REQUESTS, LIMITS),
        "securityContext": pod.container_security_context(),
    }
