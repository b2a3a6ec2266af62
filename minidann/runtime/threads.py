"""Two cores from Python: the batch split over threads, and BLAS held to one thread meanwhile."""

import ctypes
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress

from threadpoolctl import ThreadpoolController

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's numbers of these settings
PIECES = 4  # of a large product, or of a batch that is worked on block by block

_pool, _count = None, 1  # the threads of ``threads()``, if we are within it


@contextmanager
def threads():
    """Within this context ``in_threads`` uses as many threads as BLAS may use now, and BLAS keeps to one.

    NumPy copies and adds on one core only, but lets other threads run meanwhile; and two threads
    with a matrix product each are no slower than two on one product. BLAS must then be held to one
    thread *throughout*: between two products its own threads wait for work in a loop that keeps a
    core busy. Where BLAS is held to one thread already (``OPENBLAS_NUM_THREADS=1``, runs side by
    side) nothing changes.
    """
    global _pool, _count
    keep_freed_memory()
    blas = ThreadpoolController().select(user_api="blas")
    allowed = max((library.num_threads for library in blas.lib_controllers), default=1)
    if allowed == 1:  # also when one such context stands inside another
        yield
        return
    with blas.limit(limits=1), ThreadPoolExecutor(allowed - 1) as pool:
        _pool, _count = pool, allowed
        try:
            yield
        finally:
            _pool, _count = None, 1


def keep_freed_memory():
    """Ask the C library (if it is glibc) to keep memory that is freed for the next step.

    By default it hands large arrays back to the system at once, which must clear every page of the
    next one again.
    """
    with suppress(OSError, AttributeError, TypeError):  # no glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


def parallel_map(function, items):
    """``[function(item) for item in items]``; within ``threads()`` each thread takes one run of the items."""
    if _pool is None:
        return [function(item) for item in items]

    def work(run):
        return [function(item) for item in run]

    first, *others = (items[part] for part in thread_slices(len(items)))
    waiting = [_pool.submit(work, run) for run in others]
    try:
        results = work(
            first
        )  # this thread takes its share too: waking another one costs some 50 microseconds
    finally:
        wait(waiting)
    return [*results, *(result for run in waiting for result in run.result())]


def thread_slices(n):
    """n rows cut into one slice for each thread, to be worked on ``in_threads``."""
    return slices(n, _count)


def cache_blocks(n, row_bytes, block_bytes=2 << 20):
    """n rows cut into slices of about ``block_bytes``, all alike: what is done to a block in turn finds it in the cache.

    They are the same however many threads there are; several are a multiple of PIECES, so that two
    or four threads get equal shares.
    """
    count = -(-n * row_bytes // block_bytes)
    return slices(n, min(n, -(-count // PIECES) * PIECES) if count > 1 else 1)


def slices(n, count):
    """n rows in ``count`` slices, as equal as can be."""
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]
