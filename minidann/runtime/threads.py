"""All cores from Python: work split over threads, while BLAS keeps to one.

NumPy copies and adds on one core only, but lets other threads run meanwhile; and two threads with a
matrix product each are no slower than two on one product. So the layers cut their work into pieces
and give each thread some (``parallel_map``). The pieces are the same however many threads there
are, and so is the result, to the last bit.

This happens within ``all_cores``. The methods of a DANN and ``step`` of an optimizer enter it
themselves. To enter takes less than a microsecond; BLAS is held, in three more, when the first
piece of work comes that is large enough for threads, until the outermost context ends.

    from minidann import set_num_threads
    set_num_threads(1)               for all that begins after it

Several threads of a program may train at once. Each has helpers of its own, they share the cores,
and BLAS gets its threads back when the last one leaves. A child process that is forked in the
middle of training starts afresh.
"""

import ctypes
import operator
import os
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator, suppress
from contextvars import copy_context
from functools import cache, partial
from queue import SimpleQueue
from threading import Thread, local
from typing import Any

import numpy as np

from minidann.runtime.arrays import array_module
from minidann.runtime.blas import blas, libraries
from minidann.runtime.errors import InputError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's numbers of these settings
SMALL = 1 << 17  # multiplications of a product for which no BLAS wakes its threads
LARGE = 1 << 24  # multiplications that are worth the handing over to another thread
PIECES = 4  # of a large product, or of a batch that is worked on block by block

_wanted: int | None = None  # the number that set_num_threads was given


def set_num_threads(n: int | None) -> None:
    """Set how many threads minidann uses. What is running already goes on as it began.

    The number changes how long work takes, and no bit of the result.

    Parameters
    ----------
    n : int or None
        At least 1. None, as at the beginning: as many as BLAS may use, which is one for each core
        unless the environment (``OPENBLAS_NUM_THREADS``) or threadpoolctl says otherwise.

    Raises
    ------
    InputError
        If ``n`` is no such number.
    """
    global _wanted
    number = None
    if n is not None:
        with suppress(TypeError):
            number = operator.index(n)
        if number is None or number < 1:
            raise InputError(
                f"the number of threads is {n!r}; it must be an integer of at least 1, or None"
            )
    _wanted = number


def get_num_threads() -> int:
    """How many threads minidann uses: what was set, or else as many as BLAS may use."""
    return _wanted or blas.threads()


def all_cores() -> ContextDecorator:
    """A context in which ``parallel_map`` has all threads, and BLAS keeps to one.

        with all_cores():            or, for a whole function, @all_cores()
            ...

    How many threads that are is settled once, at the first piece of work: ``get_num_threads()``,
    shared with the other threads of the program that are at work at that moment. Where BLAS is held
    to one thread already (``OPENBLAS_NUM_THREADS=1``, runs side by side) it is one, unless
    ``set_num_threads`` asked for more.
    """
    return _all_cores


class _AllCores(ContextDecorator):
    def __enter__(self) -> None:
        _caller.depth += 1

    def __exit__(self, *error: object) -> None:
        caller = _caller
        caller.depth -= 1
        if caller.threads and not caller.depth:
            caller.leave()


def parallel_map(function: Callable[[Any], Any], items: Sequence) -> list:
    """``[function(item) for item in items]``; each thread takes one run of the items.

    Outside ``all_cores`` there is one thread. What the caller has set for its context
    (``numpy.errstate``, ``minidann.plain``) holds in the others too.
    """
    count = min(_threads(), len(items))
    if count < 2:
        return [function(item) for item in items]
    first, *others = (items[part] for part in slices(len(items), count))
    answers = [
        worker.start(function, run) for worker, run in zip(_caller.helpers(len(others)), others)
    ]
    try:
        results = [function(item) for item in first]  # to wake another takes some 15 microseconds
    finally:
        waited_for = [answer.get() for answer in answers]  # after an error too: they use its arrays
    for more, error in waited_for:
        if error is not None:
            raise error
        results += more
    return results


def thread_slices(n: int) -> list[slice]:
    """n rows cut into one slice for each thread, to be worked on by ``parallel_map``."""
    return slices(n, _threads())


def cache_blocks(n: int, row_bytes: int, block_bytes: int = 2 << 20) -> list[slice]:
    """n rows cut into equal slices of about ``block_bytes``, which stay in the cache.

    They are the same however many threads there are; several are a multiple of PIECES, so that two
    or four threads get equal shares.
    """
    count = -(-n * row_bytes // block_bytes)
    return slices(n, min(n, -(-count // PIECES) * PIECES) if count > 1 else 1)


def slices(n: int, count: int) -> list[slice]:
    """n rows in ``count`` slices, as equal as can be."""
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def matmul(a, b):
    """``a @ b`` for two matrices; a large product in pieces of rows or columns, for the threads.

    The pieces are the same however many threads there are, and so is the result, to the last bit.
    """
    n, m = len(a), b.shape[1]
    if a.size * m < SMALL or array_module(a) is not np:
        return a @ b
    y = np.empty((n, m), np.result_type(a, b))
    pieces = PIECES if a.size * m >= LARGE else 1
    if n > m:
        parallel_map(lambda rows: np.matmul(a[rows], b, out=y[rows]), slices(n, pieces))
    else:
        parallel_map(
            lambda columns: np.matmul(a, b[:, columns], out=y[:, columns]), slices(m, pieces)
        )
    return y


@cache
def keep_freed_memory() -> None:
    """Ask the C library (if it is glibc) to keep memory that is freed for the next step.

    By default it hands large arrays back to the system at once, which must clear every page of the
    next one again.
    """
    with suppress(OSError, AttributeError, TypeError):  # no glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


class _Caller(local):
    """What belongs to one thread of the program.

    Attributes
    ----------
    depth : int
        Contexts of ``all_cores`` that it is inside of.
    threads : int
        That share its work, itself and its helpers; 0 as long as there was none.
    """

    def __init__(self) -> None:
        self.depth, self.threads = 0, 0
        self._held: list = []
        self._workers: list[_Worker] = []

    def begin(self) -> None:
        """Hold BLAS, and settle on a number of threads."""
        keep_freed_memory()
        self._held = blas.hold()
        self.threads = max(1, (_wanted or blas.allowed) // blas.inside)

    def leave(self) -> None:
        self.threads = 0
        blas.release(self._held)

    def helpers(self, n: int) -> list["_Worker"]:
        """n threads that wait for work. They are kept for the next time."""
        while len(self._workers) < n:
            self._workers.append(_Worker())
        return self._workers[:n]

    def after_fork_in_child(self) -> None:
        self._workers.clear()  # their threads did not come along


def _threads() -> int:
    """How many threads share the work of the calling one."""
    caller = _caller
    if caller.depth and not caller.threads:
        caller.begin()
    return caller.threads or 1


class _Worker:
    """A thread that waits for work, as long as this object lives.

    Half the cost of a thread of ``concurrent.futures``; and that one takes no more work once the
    main thread has come to its end, even if other threads still train.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue = SimpleQueue()
        Thread(target=_serve, args=(self._tasks,), name="minidann", daemon=True).start()

    def __del__(self) -> None:
        self._tasks.put(None)

    def start(self, function: Callable, items: Sequence) -> SimpleQueue:
        """Begin ``[function(item) for item in items]``; (results, error) will be in the queue.

        It is a new queue each time: an answer that no one waited for (Ctrl-C) is not taken for
        the next one.
        """
        answer: SimpleQueue = SimpleQueue()
        self._tasks.put(partial(copy_context().run, _answer, function, items, answer))
        return answer


def _serve(tasks: SimpleQueue) -> None:
    for library in libraries()[1]:
        library.set(1)
    while (task := tasks.get()) is not None:
        task()
        del task  # or its arrays would live until the next one


def _answer(function: Callable, items: Sequence, answer: SimpleQueue) -> None:
    try:
        answer.put(([function(item) for item in items], None))
    except BaseException as error:  # whatever it is, parallel_map raises it again
        answer.put((None, error))


def _after_fork_in_child() -> None:
    _caller.after_fork_in_child()
    blas.after_fork_in_child(_caller.threads > 0)


_all_cores, _caller = _AllCores(), _Caller()
if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_after_fork_in_child)

threads = all_cores  # the name of before, until no one uses it any more
