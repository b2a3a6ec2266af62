"""Where arrays live: in main memory (numpy) or on a GPU (cupy).

The array itself decides. Every function of minidann that touches an array asks
``array_module`` for the module that the array belongs to and calls that one, so
the same lines run on both. Nothing converts between the two by itself: call
``to_device`` and ``to_host``.
"""

import sys

import numpy as np


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
