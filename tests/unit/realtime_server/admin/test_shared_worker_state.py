"""State shared by the supervisor and the admin process."""

from __future__ import annotations

import multiprocessing

from realtime_server.admin.shared_worker_state import SharedWorkerState


def test_a_new_board_knows_of_no_running_worker() -> None:
    board = Board(2)
    assert not board.all_running
    assert board.restarts == 0


def test_all_run_when_each_does() -> None:
    """All workers count as running only while each of them runs."""
    board = Board(2)
    board.set_running(0, running=True)
    assert (board.running(0), board.running(1), board.all_running) == (True, False, False)
    board.set_running(1, running=True)
    assert board.all_running
    board.set_running(0, running=False)
    assert not board.all_running


def test_a_forked_process_reads_what_is_written_later() -> None:
    """A forked process sees later writes, because the memory is shared."""
    board = Board(1)
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
