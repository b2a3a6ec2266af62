"""Tasks in several processes of this machine, one BLAS thread each.

Each process has a pipe to this one: a task goes through it, its result comes back, then the next.
That takes no semaphore and no shared memory, which a container may not have, and which joblib and
the pools of the standard library cannot do without.

A process leaves Ctrl-C and a closing terminal to the one that started it, which tells it to stop by
SIGTERM: training then saves itself and ends. It does the same when the one that started it is gone.
"""

import os
import pickle
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from minidann.runtime.errors import InputError, TrainingError
from minidann.runtime.stops import SIGNALS, Held, asked, caught

LATENCY = 0.2  # seconds until a signal is noticed
GRACE = 60.0  # seconds that a process has to save itself
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)

T = TypeVar("T")
R = TypeVar("R")


class Worker(NamedTuple):
    """A process, and this end of its pipe."""

    process: BaseProcess
    pipe: Connection


class Answer(NamedTuple):
    """What comes through a pipe: one result, or an error, or neither if a signal came before.

    ``stopped`` says that the process was told to stop.
    """

    results: tuple = ()
    error: Exception | None = None
    stopped: bool = False


def in_processes(
    function: Callable[[T, int | None], R], tasks: Sequence[T], jobs: int
) -> Iterator[tuple[T, R]]:
    """Call ``function(task, row)`` for every task, ``jobs`` of them at a time.

    ``row`` is that of the process, from 1. After a signal no task is begun; those that were going
    on are told to stop, and what they come to is yielded before the signal does what it would have
    done at once. A second Ctrl-C does not wait for that.

    Yields
    ------
    (task, result)
        As they come.

    Raises
    ------
    InputError
        If a process is lost, perhaps for want of memory.
    """
    todo, busy = deque(tasks), dict[Any, tuple[Worker, T]]()
    workers: list[Worker] = []
    signals, stopping = Held(), False
    signals.hold()
    try:
        for row in range(1, min(jobs, len(tasks)) + 1):
            workers.append(_start(function, row))
            _give(workers[-1], todo.popleft(), busy)
        while busy:
            for pipe in wait(list(busy), LATENCY):
                worker, task = busy.pop(pipe)
                answer = _receive(worker, task, stopping)
                for result in answer.results:
                    yield task, result
                if answer.stopped:
                    signals.number = signals.number or signal.SIGINT
                if todo and signals.number is None:
                    _give(worker, todo.popleft(), busy)
            if signals.number is not None and not stopping:
                stopping = True
                for worker, _ in busy.values():
                    worker.process.terminate()
    finally:
        _end(workers, () if stopping else [worker for worker, _ in busy.values()])
        signals.release()


def _start(function: Callable, row: int) -> Worker:
    """A new process. Signals wait until it can answer them."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, function, row, os.getpid()), daemon=True)
    with _environment(ONE_THREAD), _blocked():
        process.start()
    there.close()
    return Worker(process, here)


def _give(worker: Worker, task: T, busy: dict[Any, tuple[Worker, T]]) -> None:
    busy[worker.pipe] = worker, task
    with suppress(OSError):  # a process that was lost is met when its answer is received
        worker.pipe.send(task)


def _receive(worker: Worker, task: Any, stopping: bool) -> Answer:
    """The answer of a process; an error is raised here as it was there."""
    try:
        answer = worker.pipe.recv()
    except (EOFError, OSError) as error:
        if stopping:
            return Answer()
        worker.process.join(GRACE)
        status = worker.process.exitcode
        how = f"by signal {-status}" if status and status < 0 else f"with status {status}"
        raise InputError(
            f"the process of {getattr(task, 'title', task)} ended {how}, perhaps for want of "
            "memory; give fewer --jobs"
        ) from error
    if answer.error:
        raise answer.error
    return answer


def _end(workers: Sequence[Worker], busy: Sequence[Worker]) -> None:
    """End all processes; the busy ones may save themselves first."""
    for worker in workers:
        worker.pipe.close()
    for worker in busy:
        worker.process.terminate()
    deadline = time.monotonic() + GRACE
    try:
        for worker in workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()


# ----------------------------------------------------------------------------------------------
# in the process


def _work(pipe: Connection, function: Callable, row: int, parent: int) -> None:
    """What a process does: tasks from the pipe, until it is closed or a signal comes."""
    for number in SIGNALS:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    with suppress(KeyboardInterrupt, EOFError, OSError), caught():
        _unblock()
        Thread(target=_end_with, args=(parent,), daemon=True).start()
        while asked() is None:
            task = pipe.recv()
            pipe.send(_answer(function, task, row))


def _answer(function: Callable[[T, int], R], task: T, row: int) -> Answer:
    """Execute a task."""
    try:
        answer = Answer((function(task, row),))
        pickle.dumps(answer)
    except KeyboardInterrupt:
        answer = Answer()
    except Exception as error:
        answer = Answer(error=_portable(error))
    return answer._replace(stopped=asked() is not None)


def _portable(error: Exception) -> Exception:
    """The error as it can go through a pipe, with its traceback unless it was foreseen."""
    if not isinstance(error, InputError | TrainingError | OSError):
        error.add_note(traceback.format_exc())
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # an error of a type that is not made to be pickled
        return RuntimeError("".join(traceback.format_exception(error)))


def _end_with(parent: int) -> None:
    """End this process soon after its parent is gone: nobody would take its result."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


# ----------------------------------------------------------------------------------------------
# what a new process inherits


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _blocked() -> Iterator[None]:
    """Signals wait, here for a moment, and in a process that is started now until ``_unblock``."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _unblock() -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
