"""The server's main process: forks the workers and the admin process, keeps them running, passes signals on.

It has no event loop and no thread, ever, so that a process can be forked from it at any time.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from realtime_server.admin import admin_process
from realtime_server.admin.shared_worker_state import SharedWorkerState
from realtime_server.app import RunOptions, run_worker
from realtime_server.listening import bind, bind_unix
from realtime_server.settings import Listen, Settings
from realtime_server.transports.tls import Certificate, CertificateError, api_tls_settings, tls_settings

logger = structlog.get_logger()

EXIT_CANNOT_LISTEN = 1
PR_SET_PDEATHSIG = 1
RESTART_SECONDS = (0.2, 5.0)
"""The first and the longest pause before a process that died is started again."""
HEALTHY_SECONDS = 30.0
"""A process that ran for so long starts again after the first pause."""
STOP_MARGIN_SECONDS = 10.0
"""How much longer than its drain and its settle time may take a worker has to end."""
GARBAGE_THRESHOLD = 50_000
"""A worker looks for cycles of garbage after so many new objects."""
LOOK_SECONDS = 0.2
BACKLOG = 128
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


@dataclass(slots=True)
class Child:
    """A process that is to run. `worker` is the index of a worker, None for the admin process."""

    name: str
    work: Callable[[], None]
    worker: int | None = None
    pid: int | None = None
    started_at: float = 0.0
    pause: float = 0.0
    restart_at: float | None = None


class Supervisor:
    """Owns the child processes."""

    def __init__(self, settings: Settings, folder: Path, admin_socket: socket.socket, options: RunOptions) -> None:
        self._settings = settings
        self._options = options
        self._state = SharedWorkerState(settings.workers)
        self._admin_socket = admin_socket
        sockets = [folder / f"worker-{index}.sock" for index in range(settings.workers)]
        self._workers = [self._make_worker(index, path) for index, path in enumerate(sockets)]
        self._admin = Child("admin", lambda: admin_process.run(settings, admin_socket, sockets, self._state))
        self._deadline: float | None = None

    def run(self) -> None:
        """Run until all workers have ended after a SIGTERM or SIGINT. No child is left.

        Such a signal that was blocked and pending before ends it without a child.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        # What exists by now is never collected, so that the children go on sharing the memory it is in.
        gc.collect()
        gc.freeze()
        blocked_before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self._handle(signal.sigtimedwait(SIGNALS, 0))
            if not self._stopping:
                for child in self._children:
                    self._start(child, libc)
            while not (self._stopping and all(worker.pid is None for worker in self._workers)):
                self._handle(signal.sigtimedwait(SIGNALS, LOOK_SECONDS))
                self._reap()
                self._check_children(libc)
        finally:
            self._end()
            # As it was: `run` blocks SIGTERM and SIGINT for good, so that one more does not break the clean end.
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked_before)

    @property
    def _children(self) -> list[Child]:
        return [*self._workers, self._admin]

    @property
    def _stopping(self) -> bool:
        return self._deadline is not None

    def _make_worker(self, index: int, path: Path) -> Child:
        def work() -> None:
            self._admin_socket.close()
            path.unlink(missing_ok=True)
            # What connections are made of lives long: looking for garbage after every 700 new objects took a fifth of
            # what it costs to let many in.
            gc.set_threshold(GARBAGE_THRESHOLD, *gc.get_threshold()[1:])
            run_worker(self._settings, index, path, self._options)

        return Child(f"worker-{index}", work, index)

    def _handle(self, received: signal.struct_siginfo | None) -> None:
        """Stop at the first SIGTERM or SIGINT; at the second let the workers close what is left."""
        if received is None or received.si_signo == signal.SIGCHLD:
            return
        logger.info("server stops", signal=signal.Signals(received.si_signo).name, at_once=self._stopping)
        drain = self._settings.drain
        allowed = 0.0 if self._stopping else max(drain.timeout_seconds, drain.settle_seconds)
        self._deadline = time.monotonic() + allowed + STOP_MARGIN_SECONDS
        self._signal_workers(signal.SIGTERM)

    def _reap(self) -> None:
        """Note which children have ended. Whoever else's parent this has become (process 1) is reaped too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.pid == pid:
                    self._note_end(child, os.waitstatus_to_exitcode(status))

    def _note_end(self, child: Child, exit_code: int) -> None:
        child.pid = None
        if child.worker is not None:
            self._state.set_running(child.worker, running=False)
        if self._stopping:
            logger.info("process ended", process=child.name, exit_code=exit_code)
            return
        now, (first, longest) = time.monotonic(), RESTART_SECONDS
        lived_well = now - child.started_at > HEALTHY_SECONDS
        child.pause = first if lived_well or not child.pause else min(2 * child.pause, longest)
        child.restart_at = now + child.pause
        logger.error("process died", process=child.name, exit_code=exit_code, restart_in=child.pause)

    def _check_children(self, libc: ctypes.CDLL) -> None:
        """Start again what is due, or end what takes too long to end."""
        now = time.monotonic()
        if self._deadline is not None:
            if now > self._deadline:
                logger.error("workers did not stop in time, killing them")
                self._signal_workers(signal.SIGKILL)
            return
        for child in self._children:
            if child.restart_at is not None and now >= child.restart_at:
                if child.worker is not None:
                    self._state.count_restart()
                self._start(child, libc)

    def _start(self, child: Child, libc: ctypes.CDLL) -> None:
        parent = os.getpid()
        child.restart_at = None
        child.started_at = time.monotonic()
        child.pid = os.fork()
        if child.pid == 0:
            _run_child(child, parent, libc)
        if child.worker is not None:
            self._state.set_running(child.worker, running=True)

    def _signal_workers(self, number: signal.Signals) -> None:
        for worker in self._workers:
            _send(worker, number)

    def _end(self) -> None:
        """End what is left: the admin process last, because it tells how the workers end."""
        self._signal_workers(signal.SIGKILL)
        _send(self._admin, signal.SIGKILL)
        for child in self._children:
            if child.pid is not None:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child.pid, 0)
                child.pid = None


def _run_child(child: Child, parent: int, libc: ctypes.CDLL) -> None:
    """Do the child's work in the process that was just forked; never returns."""
    exit_code = 1
    try:
        # A child must not outlive the supervisor, however that ends.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the supervisor decides
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if os.getppid() == parent:
            child.work()
            exit_code = 0
    except BaseException:
        logger.exception("process failed", process=child.name)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)


def _send(child: Child, number: signal.Signals) -> None:
    if child.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, number)


def run(settings: Settings, options: RunOptions) -> int:
    """Run the server until SIGTERM or SIGINT; its exit code. Blocks."""
    listen = settings.listen
    try:
        for address in (listen.client_address, listen.api_address):
            # Workers bind these themselves; that it works is found out before there are any.
            bind(*address, shared=True).close()
        if (tls := tls_settings(listen)) is not None:
            Certificate(tls)
        if settings.api.tls is not None:
            Certificate(api_tls_settings(settings.api.tls))
        admin_socket = _bind_admin(listen)
    except (OSError, CertificateError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command speaks
        return EXIT_CANNOT_LISTEN
    with admin_socket, tempfile.TemporaryDirectory(prefix="realtime-server-") as folder:
        admin_socket.listen(BACKLOG)
        Supervisor(settings, Path(folder), admin_socket, options).run()
    return 0


def _bind_admin(listen: Listen) -> socket.socket:
    """The socket of the admin API: a file that only this user may open, or a port."""
    if listen.admin_socket is not None:
        return bind_unix(listen.admin_socket)
    return bind(*listen.admin_address, shared=False)
