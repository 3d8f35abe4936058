"""The kit for controllers: what it decides without running one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.cluster.environment import EnvironmentMissingError
from tests.kit.cluster.layout import Layout
from tests.kit.controllers.contour import SHIFT, ContourGateway
from tests.kit.controllers.controller import Controller
from tests.kit.controllers.programs import ControllerPrograms
from tests.kit.controllers.traefik import Traefik
from tests.kit.document import objects_at

PROGRAMS = ControllerPrograms.of(Layout())


def test_the_programs_are_passed_on_in_the_environment() -> None:
    assert ControllerPrograms.from_environ(PROGRAMS.to_environ()) == PROGRAMS


def test_a_missing_program_is_named() -> None:
    """With the target of make that provides it."""
    environ = {key: value for key, value in PROGRAMS.to_environ().items() if key != "E2E_TRAEFIK"}
    with pytest.raises(EnvironmentMissingError, match="E2E_TRAEFIK is not set: `make e2e-controllers` sets it"):
        ControllerPrograms.from_environ(environ)


@pytest.mark.parametrize(("kind", "shift"), [(ContourGateway, SHIFT), (Traefik, 0)])
def test_clients_find_the_listeners_of_the_gateway(kind: type[Controller], shift: int, tmp_path: Path) -> None:
    """Contour moves every port of a listener; Traefik needs an entry point with the same."""
    controller = kind(PROGRAMS, tmp_path / "kubeconfig", tmp_path, "edge")
    listeners = objects_at(controller.gateway("certificate"), "spec", "listeners")
    ports = [controller.port - shift, controller.passthrough_port - shift]
    assert [listener["port"] for listener in listeners] == ports
