"""Two cores from Python: the batch split over threads, and BLAS held to one thread meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController

_pool, _count = None, 1  # the threads of ``threads()``, if we are within it


@contextmanager
def threads():
    """Within this context ``in_threads`` uses as many threads as BLAS may use now, and BLAS keeps to one.

    NumPy copies and adds on one core only, but lets other threads run meanwhile; and two threads with a
    matrix product each are no slower than two on one product. BLAS must then be held to one thread
    *throughout*: between two products its own threads wait for work in a loop that keeps a core busy.
    Where BLAS is held to one thread already (``OPENBLAS_NUM_THREADS=1``, runs side by side) nothing changes.
    """
    global _pool, _count
    blas = ThreadpoolController().select(user_api="blas")
    allowed = max((library.num_threads for library in blas.lib_controllers), default=1)
    if allowed == 1:  # also when one such context stands inside another
        yield
        return
    with blas.limit(limits=1), ThreadPoolExecutor(allowed) as pool:
        _pool, _count = pool, allowed
        try:
            yield
        finally:
            _pool, _count = None, 1


def in_threads(function, items):
    """``[function(item) for item in items]``; within ``threads()`` each thread takes one run of the items."""
    if _pool is None:
        return [function(item) for item in items]
    runs = [items[part] for part in parts(len(items))]
    return [result for results in _pool.map(lambda run: [function(item) for item in run], runs) for result in results]


def parts(n):
    """n rows cut into one slice for each thread, to be worked on ``in_threads``."""
    return [slice(n * i // _count, n * (i + 1) // _count) for i in range(_count)]
