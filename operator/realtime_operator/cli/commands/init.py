"""`init`: a commented file for a first cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from realtime_operator import naming
from realtime_operator.api.errors import InvalidCluster
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.errors import InputError

STARTER = """\
# A realtime service. On this machine:  realtime up -f FILE      On Kubernetes:  kubectl apply -f FILE
# Every field: docs/reference/realtimecluster.md
apiVersion: {api_version}
kind: {kind}
metadata:
  name: {name}
spec:
  replicas: 2                  # number of servers; see `autoscaling` below to follow the connections
  namespaces:
    - name: chat               # channels chat:ANYTHING
      history: {{size: 100, ttl: 10m}}   # the latest 100 publications, for 10 minutes
      recovery: Stream         # a client that reconnects gets what it missed, exactly once
      presence: true           # lets clients and your backend ask who is subscribed
      publish: Subscribers     # clients: Nobody, Subscribers or Anyone; your backend may always publish
  auth:
    anonymous: Allow           # for development: clients connect without a token; remove it for production
  rollout:
    maxSurge: 1                # one additional server while servers are replaced
    drain:
      connectionsPerSecond: Auto   # the rate that the servers were measured to accept
      settle: 2s
  # autoscaling:
  #   minReplicas: 2
  #   maxReplicas: 10
  #   connectionsPerReplica: 5000
"""


def init(name: Annotated[str, typer.Argument(metavar="[NAME]", help="Name of the cluster.")] = "quickstart") -> None:
    """Print a file for a first cluster, with comments.

    Examples:
      realtime init chat > chat.yaml

    """
    try:
        RealtimeCluster.from_object({"metadata": {"name": name}})
    except InvalidCluster as error:
        raise InputError(str(error.findings[0].message)) from error
    typer.echo(STARTER.format(api_version=naming.API_VERSION, kind=naming.KIND, name=name), nl=False)
