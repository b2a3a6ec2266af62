"""Where arrays live: in main memory (numpy) or on a GPU (cupy).

The array itself decides. Every function of minidann that touches an array asks
``array_module`` for the module that the array belongs to and calls that one, so
the same lines run on both. Nothing converts between the two by itself: call
``to_device`` and ``to_host``.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from threadpoolctl import ThreadpoolController


def array_module(x):
    """The module whose functions work on ``x``: ``numpy``, or ``cupy`` for an array on a GPU."""
    if isinstance(x, np.ndarray):
        return np
    return sys.modules[type(x).__module__.partition(".")[0]]


def to_device(x):
    """Copy an array to the GPU. CuPy is imported here, and nowhere else."""
    import cupy

    return cupy.asarray(x)


def to_host(x):
    """Copy an array (or a 0-d result) to main memory; a numpy array is returned as it is."""
    return np.asarray(x.get() if hasattr(x, "get") else x)


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
