"""State shared by the supervisor and the admin process."""

from __future__ import annotations

import multiprocessing

from realtime_server.admin.shared_worker_state import SharedWorkerState


def test_a_new_board_knows_of_no_running_worker() -> None:
    """They are noted as they start."""
    state = SharedWorkerState(2)
    assert not state.all_running
    assert state.restarts == 0


def test_all_run_when_each_does() -> None:
    """All workers count as running only while each of them runs."""
    state = SharedWorkerState(2)
    state.set_running(0, running=True)
    assert (state.running(0), state.running(1), state.all_running) == (True, False, False)
    state.set_running(1, running=True)
    assert state.all_running
    state.set_running(0, running=False)
    assert not state.all_running


def test_a_forked_process_reads_what_is_written_later() -> None:
    """A forked process sees later writes, because the memory is shared."""
    state = SharedWorkerState(1)
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe()

    def read() -> None:
        its.recv()
        its.send((state.restarts, state.running(0)))

    process = context.Process(target=read)
    process.start()
    state.count_restart()
    state.set_running(0, running=True)
    mine.send(None)
    assert mine.recv() == (1, True)
    process.join()
    mine.close()
    its.close()
