"""The versions of the stock SDKs that the server is held against, installed or built once per machine.

    python -m tests.kit.sdk_programs

Every version is locked with hashes: package-lock.json, requirements/sdk-python-*.txt, go.sum, jars.sha256. What is not
JavaScript is kept in the cache of the test cluster's programs; a folder's name has a digest of what it is made from.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.kit.clients import ClientOptions, StockClients
from tests.kit.cluster.layout import Layout, cache_folder
from tests.kit.cluster.programs import find_go
from tests.kit.sdk import JavaScriptClients, ProgramClients

REPOSITORY = Path(__file__).parents[2]
SOURCES = Path(__file__).parent / "sdk"
BUILD_SECONDS = 600
COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
RUN_WITH_ALONE = """
import runpy, sys
_, folder, program, *sys.argv[1:] = sys.argv
sys.path.insert(0, folder)
runpy.run_path(program, run_name="__main__")
"""
"""Runs a program with the packages of one folder and none of the environment's."""


@dataclass(frozen=True, slots=True)
class SdkVersion:
    """One version of one SDK: `make` makes clients of it, after `install`."""

    language: str
    version: str
    make: Callable[[ClientOptions], StockClients]
    install: Callable[[], None]
    newest: bool = False

    @property
    def name(self) -> str:
        """Name in records and tests."""
        return f"{self.language} {self.version}"


def _run(*command: str | Path, folder: Path = REPOSITORY) -> None:
    """Run a command to its end; raises RuntimeError with the output when it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")


def _place(name: str, *made_from: Path) -> Path:
    """Return the cache folder for the product of these files."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in made_from)).hexdigest()[:12]
    return cache_folder() / "sdks" / f"{name}-{digest}"


def _install(place: Path, make: Callable[[Path], None]) -> None:
    """Make a folder atomically unless it exists."""
    if place.exists():
        return
    print(f"installing {place.name} (once per machine)", flush=True)
    half = place.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    make(half)
    half.rename(place)


def _javascript(version: str, package: str, *, newest: bool = False) -> SdkVersion:
    def nothing() -> None:
        """Do nothing: `make setup` has installed the package."""

    return SdkVersion(
        "javascript", version, lambda options: JavaScriptClients(options, package), nothing, newest=newest
    )


def _python(version: str, *, newest: bool = False) -> SdkVersion:
    lock = REPOSITORY / "requirements" / f"sdk-python-{version}.txt"
    place = _place(f"python-{version}-{sys.implementation.cache_tag}", lock)

    def install() -> None:
        def make(folder: Path) -> None:
            pip = (sys.executable, "-P", "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps")
            _run(*pip, "--target", folder, "--requirement", lock)

        _install(place, make)

    def clients(options: ClientOptions) -> ProgramClients:
        program = SOURCES / "python" / "clients.py"
        return ProgramClients(options, (sys.executable, "-I", "-S", "-c", RUN_WITH_ALONE, str(place), str(program)))

    return SdkVersion("python", version, clients, install, newest=newest)


@dataclass(frozen=True, slots=True)
class Program:
    """Program with an SDK: `command` starts it, after `install`."""

    command: tuple[str, ...]
    install: Callable[[], None]


def _go_program(folder: str, version: str) -> Program:
    source = SOURCES / folder
    place = _place(f"{folder}-{version}", *(source / name for name in ("go.mod", "go.sum", "main.go")))

    def install() -> None:
        def make(folder: Path) -> None:
            go = find_go(Layout(), print)
            _run(go, "build", "-trimpath", "-mod=readonly", "-o", folder / "clients", ".", folder=source)

        _install(place, make)

    return Program((str(place / "clients"),), install)


def _java_program(folder: str, version: str, name: str) -> Program:
    source = SOURCES / folder
    place = _place(f"{folder}-{version}", *(source / each for each in ("pom.xml", "jars.sha256", f"{name}.java")))

    def install() -> None:
        def make(folder: Path) -> None:
            _run("mvn", "-q", "-B", COPY_JARS, "-DincludeScope=runtime", f"-DoutputDirectory={folder}", folder=source)
            _run("sha256sum", "--check", "--strict", "--quiet", source / "jars.sha256", folder=folder)
            _run("javac", "-Werror", "-Xlint:all", "-d", folder, "-cp", f"{folder}/*", source / f"{name}.java")

        _install(place, make)

    return Program(("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{place}/*:{place}", name), install)


def _of_program(language: str, version: str, program: Program) -> SdkVersion:
    def clients(options: ClientOptions) -> ProgramClients:
        return ProgramClients(options, program.command)

    return SdkVersion(language, version, clients, program.install, newest=True)


SDK_VERSIONS = (
    _javascript("5.2.2", "centrifuge-5.2"),
    _javascript("5.4.0", "centrifuge-5.4"),
    _javascript("5.7.4", "centrifuge-5.7"),
    _javascript("5.8.0", "centrifuge", newest=True),
    _python("0.4.4"),
    _python("0.5.2"),
    _python("0.6.0"),
    _python("0.7.0", newest=True),
    _of_program("go", "0.12.1", _go_program("go", "0.12.1")),
    _of_program("java", "0.4.1", _java_program("java", "0.4.1", "Clients")),
)

SOCKET_IO_PROGRAMS: Mapping[str, Program] = {
    "java": _java_program("socket_io_java", "2.1.2", "SocketIoClient"),
    "go": _go_program("socket_io_go", "3.0.6"),
}
"""Stock clients of Socket.IO in other languages than those of every build."""


def main() -> None:
    """Install the missing versions."""
    for sdk in SDK_VERSIONS:
        sdk.install()
    for program in SOCKET_IO_PROGRAMS.values():
        program.install()


if __name__ == "__main__":
    main()
