"""Images without a registry: bases from Debian packages, the project's from its Dockerfile, built by buildah.

Each archive's name has a hash of all that went into it: what has not changed is neither built nor imported again.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.kit.cluster import bill_of_materials
from tests.kit.cluster.layout import (
    OPERATOR_IMAGE,
    PAUSE_IMAGE,
    REDIS_IMAGE,
    REPOSITORY,
    SERVER_IMAGE,
    Layout,
    cache_folder,
)
from tests.kit.cluster.process import ClusterError, inside, run
from tests.kit.debian_root import PYTHON, SUITE, DebianRoot
from tests.kit.earlier_commit import unpack
from tests.kit.fingerprint import fingerprint
from tests.kit.locked_wheels import collect_wheels

Say = Callable[[str], None]

BASE_IMAGE = f"localhost/base-python:{SUITE}"
WHEELS = REPOSITORY / "dist" / "wheels"
EARLIER = "c599cc6"
"""Commit whose operator and servers an upgrade starts from."""
EARLIER_IMAGES = {"operator": "localhost/realtime-operator:earlier", "server": "localhost/realtime-server:earlier"}
BUILD_SECONDS = 600

PAUSE_SOURCE = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n"
REDIS_DOCKERFILE = 'FROM scratch\nADD base.tar /\nUSER 65532:65532\nENTRYPOINT ["prometheus-redis-exporter"]\n'
VALKEY_IMAGE = "localhost/realtime-valkey:e2e"
VALKEY_DOCKERFILE = "FROM scratch\nADD base.tar /\nUSER 65532:65532\n"
PACKAGES = {
    "python": "python3,ca-certificates",
    "redis": "redis-server,prometheus-redis-exporter",
    "valkey": "valkey-server",
}


def build_all(layout: Layout, say: Say) -> None:
    """Build the images of operator, server and Redis, and import them into the running cluster."""
    _import(layout, REDIS_IMAGE, redis_archive(layout, say), say)
    for target, image in (("operator", OPERATOR_IMAGE), ("server", SERVER_IMAGE)):
        _import(layout, image, project_archive(layout, target, image, say), say)


def write_bills_of_materials(layout: Layout, say: Say) -> None:
    """Write dist/sbom/IMAGE.cdx.json: what is in the images of operator, server and Redis."""
    _base(layout, say)
    folder, python = REPOSITORY / "dist" / "sbom", _context(layout, "base") / "base.tar"
    for target, image in (("operator", OPERATOR_IMAGE), ("server", SERVER_IMAGE)):
        prepare_wheels(target, say)
        wheels = bill_of_materials.installed_wheels(WHEELS / target, WHEELS / "own")
        bill_of_materials.write(folder / f"{target}.cdx.json", image, python, SUITE, wheels)
    redis = _context(layout, "redis") / "base.tar"
    bill_of_materials.write(folder / "redis.cdx.json", REDIS_IMAGE, redis, SUITE)
    say("wrote dist/sbom/operator.cdx.json, server.cdx.json and redis.cdx.json")


def build_earlier(layout: Layout, say: Say) -> None:
    """Build the images of EARLIER, from which upgrades start, and import them into the running cluster."""
    checkout = layout.cache / "images" / f"commit-{EARLIER}"
    if not checkout.exists():
        unpack(EARLIER, checkout)
    for target, image in EARLIER_IMAGES.items():
        _import(layout, image, project_archive(layout, target, image, say, checkout), say)


def import_pause(layout: Layout, say: Say) -> None:
    """Build the image of the process that holds a pod's namespaces."""
    archive = _archive(layout, "pause", fingerprint([], PAUSE_SOURCE))
    if not archive.exists():
        context = _context(layout, "pause")
        (context / "pause.c").write_text(PAUSE_SOURCE)
        run("gcc", "-Os", "-static", "-o", context / "pause", context / "pause.c")
        (context / "Dockerfile").write_text('FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n')
        _build(layout, context, PAUSE_IMAGE, archive)
    _import(layout, PAUSE_IMAGE, archive, say)


def redis_archive(layout: Layout, say: Say) -> Path:
    """Build an image of Debian's Redis, and of the exporter, which it runs where a pod names no command."""
    return _package_archive(layout, "redis", REDIS_IMAGE, REDIS_DOCKERFILE, say)


def import_valkey(layout: Layout, say: Say) -> str:
    """Build an image of Debian's Valkey, import it into the running cluster, and return its name."""
    _import(layout, VALKEY_IMAGE, valkey_archive(layout, say), say)
    return VALKEY_IMAGE


def valkey_archive(layout: Layout, say: Say) -> Path:
    """Build an image of Debian's Valkey, without a program by the name of one of Redis."""
    return _package_archive(layout, "valkey", VALKEY_IMAGE, VALKEY_DOCKERFILE, say)


def _package_archive(layout: Layout, name: str, image: str, dockerfile: str, say: Say) -> Path:
    archive = _archive(layout, name, fingerprint([], SUITE, dockerfile, PACKAGES[name]))
    if not archive.exists():
        say(f"building the image {image} (once per machine)")
        context = _context(layout, name)
        _bootstrap(PACKAGES[name], context / "base.tar")
        (context / "Dockerfile").write_text(dockerfile)
        _build(layout, context, image, archive)
    return archive


def project_archive(layout: Layout, target: str, image: str, say: Say, checkout: Path = REPOSITORY) -> Path:
    """Build one target of a checkout's Dockerfile, on a Debian base."""
    lock = checkout / "requirements" / f"{target}.txt"
    sources = [checkout / name for name in ("Dockerfile", "pyproject.toml", "README.md", "operator", "server")]
    name = target if checkout == REPOSITORY else f"earlier-{target}"
    archive = _archive(layout, name, fingerprint([lock, *sources], SUITE, PACKAGES["python"]))
    if not archive.exists():
        say(f"building the image {image}")
        _base(layout, say)
        prepare_wheels(target, say, checkout)
        _build(layout, checkout, image, archive, "--target", target, "--build-arg", f"BASE={BASE_IMAGE}", "--layers")
        for older in archive.parent.glob(f"{name}-*.tar"):
            if older != archive:
                older.unlink()
    return archive


def prepare_wheels(target: str, say: Say, checkout: Path = REPOSITORY) -> None:
    """Collect what the Dockerfile installs: locked dependencies in dist/wheels/TARGET, our wheel in dist/wheels/own."""
    locks, wheels = checkout / "requirements", checkout / "dist" / "wheels"
    collect_wheels(wheels / target, PYTHON, locks / f"{target}.txt", locks / "build.txt")
    _build_own_wheel(say, checkout)


@functools.cache
def _build_own_wheel(say: Say, checkout: Path) -> None:
    own = checkout / "dist" / "wheels" / "own"
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir()
    # The same sources must give the same wheel, else every build would look like a change.
    build = "env SOURCE_DATE_EPOCH=1577836800 {} -P -m hatchling build --target wheel --directory {}".format
    if PYTHON.startswith(f"{sys.version_info.major}.{sys.version_info.minor}."):
        run("env", "-C", checkout, *shlex.split(build(sys.executable, own)), timeout=BUILD_SECONDS)
        return
    # Its part in C is for one version of Python.
    if os.geteuid() != 0:
        raise ClusterError(f"the images have Python {PYTHON}: run this with that, or as root, who gets it from Debian")
    root = DebianRoot(cache_folder() / "debian")
    root.prepare(say)
    if root.run_on_copy(build("/opt/environment/bin/python", "/own"), {own: "/own"}, checkout) != 0:
        raise ClusterError(f"the wheel for Python {PYTHON} was not built, see above")


def _base(layout: Layout, say: Say) -> None:
    """Build the Debian base with Python, in buildah's store."""
    if _buildah(layout, "images", "--quiet", "--filter", f"reference={BASE_IMAGE}").strip():
        return
    say("building the base image (once per machine)")
    context = _context(layout, "base")
    _bootstrap(PACKAGES["python"], context / "base.tar")
    (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
    _build(layout, context, BASE_IMAGE, None)


def _bootstrap(packages: str, target: Path) -> None:
    run("mmdebstrap", "--variant=minbase", "--mode=root", f"--include={packages}", SUITE, target, timeout=BUILD_SECONDS)


def _context(layout: Layout, name: str) -> Path:
    folder = layout.cache / "images" / "context" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _archive(layout: Layout, name: str, key: str) -> Path:
    return layout.cache / "images" / f"{name}-{key}.tar"


def _store(layout: Layout) -> Path:
    """Return the folder of buildah's layers, which are kept between builds and shared by all clusters."""
    return layout.cache / "images" / "buildah"


def store_lock(layout: Layout) -> Path:
    """Return the file that every build holds a shared lock of."""
    return _store(layout).with_suffix(".lock")


@contextlib.contextmanager
def _in_use(layout: Layout, *, alone: bool = False) -> Iterator[bool]:
    """Hold a lock of the store, which ends with the process; `alone`: only if nobody else does, else yield False."""
    lock = store_lock(layout)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
        except BlockingIOError:
            yield False
        else:
            yield True


def abandoned_mounts(layout: Layout) -> list[str]:
    """Return what buildah has left mounted in its store, mostly after interrupted builds; nothing while one runs."""
    with _in_use(layout, alone=True) as is_ours:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines() if is_ours else []
        return [point for line in mounts if (point := line.split()[4]).startswith(f"{_store(layout)}/")]


def release_store(layout: Layout) -> None:
    """Unmount what buildah has left in its store, and remove the cluster's own folder."""
    for point in sorted(abandoned_mounts(layout), reverse=True):
        run("umount", "-l", point)
    shutil.rmtree(runtime_folder(layout), ignore_errors=True)


def runtime_folder(layout: Layout) -> Path:
    """Return buildah's folder for the builds of this cluster, which is on the command line of each."""
    return Path("/run") / f"{layout.name}-buildah"


def _buildah(layout: Layout, *words: str | Path) -> str:
    """Run a command of buildah; return its output."""
    folders = ("--root", str(_store(layout)), "--runroot", str(runtime_folder(layout)))
    with _in_use(layout):
        return run("buildah", *folders, "--storage-driver", "overlay", *words, timeout=BUILD_SECONDS)


def _build(layout: Layout, context: Path, image: str, archive: Path | None, *options: str) -> None:
    bud = ("bud", "--quiet", "--runtime", "runc", "--isolation", "chroot", "--pull-never")
    _buildah(layout, *bud, *options, "--tag", image, context)
    if archive is not None:
        part = archive.with_suffix(".part")
        part.unlink(missing_ok=True)
        _buildah(layout, "push", "--quiet", image, f"oci-archive:{part}:{image}")
        part.rename(archive)


def _import(layout: Layout, image: str, archive: Path, say: Say) -> None:
    """Import an archive, unless the cluster's store has the same one."""
    stamp = layout.disk / "imported" / image.replace("/", "_")
    if stamp.exists() and stamp.read_text() == archive.name:
        return
    ctr = inside(layout, "ctr", "-a", layout.containerd_socket, "-n", "k8s.io")
    result = subprocess.run(
        [*ctr, "images", "import", "--all-platforms=false", str(archive)], capture_output=True, text=True, timeout=120
    )
    if result.returncode != 0:
        raise ClusterError(f"import of {image}: {result.stderr.strip()}")
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(archive.name)
    say(f"imported {image}")
