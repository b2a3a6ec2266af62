"""All cores from Python: work split over threads, while BLAS keeps to one.

NumPy copies and adds on one core only, but lets other threads run meanwhile; and two threads with a
matrix product each are no slower than two on one product. So the layers cut their work into pieces
and give each thread some (``parallel_map``). The pieces are the same however many threads there
are, and so is the result, to the last bit.

This happens within ``all_cores``. The methods of a DANN and ``step`` of an optimizer enter it
themselves: it takes about 3 microseconds, and next to nothing inside another entry.

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
from contextlib import AbstractContextManager, suppress
from contextvars import copy_context
from functools import cache, partial, wraps
from queue import SimpleQueue
from threading import Thread, local
from typing import ParamSpec, TypeVar

from minidann.runtime import blas
from minidann.runtime.errors import InputError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's numbers of these settings
FEW = 256  # numbers in a batch on which an entry would take more time than threads could save
PIECES = 4  # of a large product, or of a batch that is worked on block by block

P = ParamSpec("P")
Item = TypeVar("Item")
Result = TypeVar("Result")
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
                f"the number of threads is {n!r}; give an integer of at least 1, or None for as "
                "many as BLAS may use"
            )
    _wanted = number


def get_num_threads() -> int:
    """How many threads minidann uses: what was set, or else as many as BLAS may use."""
    return _wanted or blas.threads()


def all_cores() -> AbstractContextManager[None]:
    """A context in which ``parallel_map`` has all threads, and BLAS keeps to one.

    How many threads that are, a thread of the program learns when it enters: ``get_num_threads()``,
    shared with the others that are inside at that moment. Where BLAS is held to one thread already
    (``OPENBLAS_NUM_THREADS=1``, runs side by side) it is one, unless ``set_num_threads`` asked for
    more.
    """
    return _all_cores


class _AllCores:
    def __enter__(self) -> None:
        caller = _caller
        if not caller.depth:
            keep_freed_memory()
            caller.held, allowed, inside = blas.hold()
            caller.threads = max(1, (_wanted or allowed) // inside)
        caller.depth += 1

    def __exit__(self, *error: object) -> None:
        caller = _caller
        caller.depth -= 1
        if not caller.depth:
            caller.threads = 1
            blas.release(caller.held)


def on_all_cores(function: Callable[P, Result]) -> Callable[P, Result]:
    """Let a function ``(self, x, ...)`` run within ``all_cores``, unless x is a few numbers.

    With a few points in a batch, a step takes less than a tenth of a millisecond: an entry would be
    five percent of it. A product that is large all the same, in a wide layer, enters by itself.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Result:
        if len(args) > 1 and getattr(args[1], "size", FEW) < FEW:
            return function(*args, **kwargs)
        with _all_cores:
            return function(*args, **kwargs)

    return call


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """``[function(item) for item in items]``; each thread takes one run of the items.

    Outside ``all_cores`` there is one thread. What the caller has set for its context
    (``numpy.errstate``, ``minidann.plain``) holds in the others too.
    """
    count = min(_caller.threads, len(items))
    if count < 2:
        return [function(item) for item in items]
    first, *others = (items[part] for part in slices(len(items), count))
    helpers = _caller.helpers(len(others))
    answers = [helper.start(function, run) for helper, run in zip(helpers, others)]
    try:
        results = [function(item) for item in first]  # to wake another takes some 15 microseconds
    finally:
        ended = [answer.get() for answer in answers]  # after an error too: they use its arrays
    for more, error in ended:
        if error is not None:
            raise error
        results += more
    return results


def thread_slices(n: int) -> list[slice]:
    """n rows cut into one slice for each thread, to be worked on by ``parallel_map``."""
    return slices(n, _caller.threads)


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


class _Helper:
    """A thread that waits for work, as long as this object lives.

    It costs half of what a thread of ``concurrent.futures`` does. And that one takes no more work
    once the main thread has come to its end, even if another thread of the program still trains.
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
    blas.hold_in_helper()
    while (task := tasks.get()) is not None:
        task()
        del task  # or its arrays would live until the next one


def _answer(function: Callable, items: Sequence, answer: SimpleQueue) -> None:
    try:
        answer.put(([function(item) for item in items], None))
    except BaseException as error:  # whatever it is, parallel_map raises it again
        answer.put((None, error))


class _Caller(local):
    """What belongs to one thread of the program.

    Attributes
    ----------
    depth : int
        Contexts of ``all_cores`` that it is inside of.
    threads : int
        That share its work: itself and its helpers.
    held : list
        What it gives back to BLAS when it leaves.
    """

    def __init__(self) -> None:
        self.depth, self.threads = 0, 1
        self.held: blas.Counts = []
        self._helpers: list[_Helper] = []

    def helpers(self, n: int) -> list[_Helper]:
        """n threads that wait for work. They are kept for the next time."""
        while len(self._helpers) < n:
            self._helpers.append(_Helper())
        return self._helpers[:n]

    def after_fork_in_child(self) -> None:
        """The thread that forked is alone in the child; its helpers did not come along."""
        self._helpers.clear()
        blas.after_fork_in_child(self.depth > 0)
        blas.lock.release()


_all_cores, _caller = _AllCores(), _Caller()
if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(
        before=blas.lock.acquire,  # so that no other thread is half inside
        after_in_parent=blas.lock.release,
        after_in_child=_caller.after_fork_in_child,
    )
