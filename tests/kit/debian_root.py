"""Run a command on a copy of this checkout in another Debian: `python -m tests.kit.debian_root COMMAND`.

The Debian and a virtual environment for it are made once per machine, and stay as they are: layers in the cache. A run
has its own namespaces for mounts, processes and the network, and writes into memory only: whatever ends it, the kernel
takes all of it back.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.kit.cluster.layout import REPOSITORY, cache_folder
from tests.kit.cluster.process import ClusterError, run
from tests.kit.fingerprint import fingerprint
from tests.kit.locked_wheels import collect_wheels

SUITE = "trixie"
PYTHON = "3.13.5"
"""Version of Python in the suite."""
PACKAGES = (
    "ca-certificates", "chromium", "chromium-driver", "curl", "gcc", "iproute2", "iptables", "libc6-dev", "make",
    "nodejs", "prometheus", "prometheus-redis-exporter", "python3-dev", "python3-venv", "redis-server",
)  # fmt: skip
"""Packages that hack/setup-system.sh installs for tests, and that a minimal Debian lacks besides."""
LOCK = REPOSITORY / "requirements" / "dev.txt"
LEFT_OUT = ("./.git", "./.venv", "./dist", "./.hypothesis", ".*_cache", "__pycache__", "_native.*.so")
"""Files of the checkout that are not copied: artefacts of the outer Python, and files without use inside."""
BUILD_SECONDS = 900

ISOLATED = (
    "setpriv", "--pdeathsig", "KILL", "--",
    "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
)  # fmt: skip
"""Command that ends with the process that starts it, even if killed, with its processes and mounts."""

ENTER = """\
set -euo pipefail
place=$1 layers=$2 command=$3
shift 3
ip link set lo up
mount -t tmpfs tmpfs "$place"
mkdir "$place"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=$layers,upperdir=$place/upper,workdir=$place/work" "$place/root"
cd "$place/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
echo '127.0.0.1 localhost' > etc/hosts
for bound; do
  mkdir -p ".${bound##*:}"
  mount --bind "${bound%:*}" ".${bound##*:}"
done
# Not exec: the first process of the namespace has to reap those that lose their parent.
chroot . env -i PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8 bash -euc "$command" && exit 0 || exit $?
"""
MAKE_ENVIRONMENT = """\
python3 -m venv /opt/environment
/opt/environment/bin/pip install --quiet --no-index --find-links /wheels --require-hashes -r /wheels/requirements.txt
mkdir /layer/opt
cp -a /opt/environment /layer/opt/
"""
ON_A_COPY = """\
mkdir /checkout
cd /checkout
tar -C /original {left_out} -cf - . | tar -xf -
/opt/environment/bin/pip install --quiet --no-index --no-build-isolation --no-deps .
{command}
"""


@dataclass(frozen=True, slots=True)
class DebianRoot:
    """A Debian with a virtual environment for the tests, in a folder of the cache."""

    cache: Path
    suite: str = SUITE
    python: str = PYTHON
    packages: tuple[str, ...] = PACKAGES

    @property
    def system(self) -> Path:
        """Folder of the layer with Debian's packages."""
        return self.cache / f"{self.suite}-{fingerprint([], *self.packages)}"

    @property
    def environment(self) -> Path:
        """Folder of the layer with the virtual environment."""
        return self.cache / f"{self.system.name}-{fingerprint([LOCK], self.python)}"

    def prepare(self, say: Callable[[str], None]) -> None:
        """Make missing layers, and remove outdated ones. Raises ClusterError."""
        if os.geteuid() != 0:
            raise ClusterError("the root of another Debian can be made and entered by root only")
        self._place.mkdir(parents=True, exist_ok=True)
        with self._locked():
            made = [_layer(self.system, self._bootstrap, say), _layer(self.environment, self._install, say)]
            for old in self.cache.glob(f"{self.suite}-*") if any(made) else ():
                if old not in {self.system, self.environment}:
                    shutil.rmtree(old)

    def run_on_copy(self, command: str, bound: Mapping[Path, str] | None = None, checkout: Path = REPOSITORY) -> int:
        """Run a bash command in a copy of a checkout with /opt/environment; return its exit code.

        `bound` names folders from outside, and where they are inside.
        """
        left_out = " ".join(f"--exclude={pattern!r}" for pattern in LEFT_OUT)
        script = ON_A_COPY.format(left_out=left_out, command=command)
        folders = {checkout: "/original", **(bound or {})}
        return subprocess.run(inside(self._place, [self.environment, self.system], script, folders)).returncode

    def _bootstrap(self, folder: Path) -> None:
        packages = ",".join(self.packages)
        debootstrap = ("mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", f"--include={packages}")
        run(*ISOLATED, *debootstrap, "--format=directory", self.suite, folder, timeout=BUILD_SECONDS)

    def _install(self, folder: Path) -> None:
        wheels = self.cache / "wheels"
        collect_wheels(wheels, self.python, LOCK)
        bound = {wheels: "/wheels", folder: "/layer"}
        run(*inside(self._place, [self.system], MAKE_ENVIRONMENT, bound), timeout=BUILD_SECONDS)
        shutil.rmtree(wheels)

    @property
    def _place(self) -> Path:
        """Mount point of roots: each is mounted in its own mount namespace, so that the folder stays empty."""
        return self.cache / "place"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock that lets one process at a time make layers."""
        with (self.cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def inside(place: Path, layers: Sequence[Path], script: str, bound: Mapping[Path, str]) -> list[str]:
    """Return the command line that runs a bash script in layers of a root, the upper ones first.

    `place` is an empty folder, `bound` names folders and where they are inside. The script reaches no network.
    """
    binds = [f"{source}:{target}" for source, target in bound.items()]
    return [*ISOLATED, "--net", "bash", "-c", ENTER, "enter", str(place), ":".join(map(str, layers)), script, *binds]


def _layer(folder: Path, fill: Callable[[Path], None], say: Callable[[str], None]) -> bool:
    """Make a layer atomically unless it exists; return True when it was made."""
    if folder.exists():
        return False
    say(f"making {folder} (once per machine)")
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    fill(part)
    part.rename(folder)
    return True


def main(arguments: Sequence[str]) -> int:
    """Prepare the root and run a command; return its exit code."""
    root = DebianRoot(cache_folder() / "debian")
    try:
        root.prepare(lambda text: print(text, flush=True))
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return root.run_on_copy(" ".join(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
