"""`python -m tests.kit.cluster COMMAND`: what the Makefile calls."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from tests.kit.cluster import images
from tests.kit.cluster.components import kubectl
from tests.kit.cluster.environment import Environment, EnvironmentMissingError
from tests.kit.cluster.layout import OPERATOR_IMAGE, REDIS_IMAGE, REPOSITORY, SERVER_IMAGE, Layout
from tests.kit.cluster.lifecycle import Progress, down, exec_inside, is_up, leftovers, up
from tests.kit.cluster.process import ClusterError
from tests.kit.cluster.programs import API_SERVER_PROGRAMS, build_missing
from tests.kit.controllers.programs import install_missing
from tests.kit.monitoring import programs as monitoring_programs

COMMANDS = "up|down|status|kubectl|wheels|images|apiserver|e2e|monitoring|controllers|demo|env"
SUITES = {"e2e": ("e2e", "scenarios"), "monitoring": ("monitoring",), "controllers": ("controllers",)}
"""Folders of tests that a command runs on a cluster."""
USAGE = f"usage: python -m tests.kit.cluster {COMMANDS} [ARGUMENTS]"


def main(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    command, rest = (arguments[0], list(arguments[1:])) if arguments else ("", [])
    try:
        return _dispatch(Layout.from_environ(), command, rest)
    except (ClusterError, EnvironmentMissingError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _dispatch(layout: Layout, command: str, rest: list[str]) -> int:
    say = Progress()
    if command == "up":
        up(layout, say)
        print("kubectl: make kubectl ARGS='get pods -A'; stop it with make cluster-down")
        return 0
    if command == "down":
        return _down(layout, say)
    if command == "status":
        print("up" if is_up(layout) else "down")
        return 0 if is_up(layout) else 3
    if command == "kubectl":
        return subprocess.run(kubectl(layout, *rest)).returncode
    if command == "images":
        up(layout, say)
        images.build_all(layout, say)
        images.write_bills_of_materials(layout, say)
        return 0
    if command == "apiserver":
        build_missing(layout, say, API_SERVER_PROGRAMS)
        return 0
    if command == "wheels":
        for target in ("operator", "server"):
            images.prepare_wheels(target, say)
        return 0
    if command == "env":
        print("\n".join(f"export {name}={value}" for name, value in _environment(layout).to_environ().items()))
        return 0
    if command in SUITES:
        return _test(layout, say, command, rest)
    if command == "demo":
        return _with_cluster(layout, say, ["-m", "tests.kit.demo", *rest], keep="--keep" in rest)
    print(USAGE, file=sys.stderr)
    return 2


def _test(layout: Layout, say: Progress, command: str, arguments: list[str]) -> int:
    if command == "monitoring":
        monitoring_programs.build_missing(layout, say)
    if command == "controllers":
        os.environ.update(install_missing(layout, say).to_environ())
    tests = [str(REPOSITORY / "tests" / folder) for folder in SUITES[command]]
    suite = ["-m", "tests.kit.retried", *tests, "--platform=kubernetes", *arguments]
    return _with_cluster(layout, say, suite, earlier=command == "e2e")


def _environment(layout: Layout) -> Environment:
    return Environment(
        kubectl=layout.programs / "kubectl",
        helm=layout.helm,
        kubeconfig=layout.kubeconfig,
        operator_image=OPERATOR_IMAGE,
        server_image=SERVER_IMAGE,
        redis_image=REDIS_IMAGE,
        exporter_image=REDIS_IMAGE,
        earlier_operator_image=images.EARLIER_IMAGES["operator"],
        earlier_server_image=images.EARLIER_IMAGES["server"],
        audit_log=layout.audit_log,
        kube_router=layout.kube_router,
        registry=layout.registry,
    )


def _down(layout: Layout, say: Progress) -> int:
    down(layout)
    left = leftovers(layout)
    for line in left:
        print(f"left behind: {line}", file=sys.stderr)
    say("the cluster is down, nothing is left" if not left else "the cluster is down")
    return 1 if left else 0


def _with_cluster(
    layout: Layout, say: Progress, arguments: list[str], *, keep: bool = False, earlier: bool = False
) -> int:
    """Run a program against a cluster: the user's own, the one that is up, or one that is started for it.

    `earlier`: it needs the images of an earlier commit too.
    What was started here is torn down whatever happens, unless it is to be kept (KEEP=1, --keep).
    """
    command = ["env", "-C", str(REPOSITORY), sys.executable, "-P", *arguments]
    environment = {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    if os.environ.get("KUBECONFIG"):
        own = Environment.from_environ()
        say(f"using the cluster of {own.kubeconfig}")
        return subprocess.run(command, env={**os.environ, **own.to_environ(), **environment}).returncode
    signal.signal(signal.SIGTERM, _interrupt)
    started_here = not is_up(layout)
    try:
        up(layout, say)
        images.build_all(layout, say)
        if earlier:
            images.build_earlier(layout, say)
        say("the images are in the cluster")
        code = exec_inside(layout, command, {**_environment(layout).to_environ(), **environment})
    finally:
        if started_here and not keep and os.environ.get("KEEP") != "1":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            torn_down = _down(layout, say)
        else:
            torn_down = 0
            say("the cluster stays up; stop it with make cluster-down")
    return code or torn_down


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
