"""Where arrays live: in main memory (numpy) or on a GPU (cupy).

The array itself decides. Every function of minidann that touches an array asks
``array_module`` for the module that the array belongs to and calls that one, so
the same lines run on both. Nothing converts between the two by itself: call
``to_device`` and ``to_host``.
"""

import platform
import sys
from functools import wraps
from typing import Any

import numpy as np

# The type hint of an array of numpy or cupy: no type stands for both. What is a numpy array
# wherever the code runs is an np.ndarray.
Array = Any


def array_module(x):
    """The module whose functions work on ``x``: ``numpy``, or ``cupy`` for an array on a GPU."""
    if isinstance(x, np.ndarray):
        return np
    return sys.modules[type(x).__module__.partition(".")[0]]


def to_device(x):
    """Copy an array to the GPU; one that is there already is returned as it is."""
    import cupy

    return cupy.asarray(x)


def to_host(x):
    """Copy an array (or a 0-d result) to main memory; a numpy array is returned as it is."""
    return np.asarray(x.get() if hasattr(x, "get") else x)


def to_device_of(x, array):
    """Copy ``array`` to where ``x`` lives; one that is there already is returned as it is."""
    if array_module(array) is array_module(x):
        return array
    return to_host(array) if array_module(x) is np else to_device(array)


def synchronize(x):
    """Wait until the device that ``x`` lives on has done all it was asked to: a GPU works on while Python goes on."""
    if array_module(x) is not np:
        array_module(x).cuda.get_current_stream().synchronize()


def device_name(x):
    """What ``x`` lives on, in words."""
    xp = array_module(x)
    return (
        f"CPU ({platform.machine()})"
        if xp is np
        else xp.cuda.runtime.getDeviceProperties(xp.cuda.Device().id)["name"].decode()
    )


def peak_memory(x):
    """Bytes: the most that this process has held in main memory, or all that CuPy's pool took from the GPU (it gives nothing back)."""
    xp = array_module(x)
    if xp is np:
        import resource  # not on Windows

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
            1 if sys.platform == "darwin" else 1024
        )
    return xp.get_default_memory_pool().total_bytes()


def fused(function):
    """A function of element-by-element operations which on a GPU becomes one kernel, instead of one for every operation.

    On numpy arrays it is called as it is. It takes positional arguments, arrays first; it may
    change them in place.
    """
    kernels = {}

    @wraps(function)
    def call(*arguments):
        xp = array_module(arguments[0])
        if xp is np:
            return function(*arguments)
        if xp not in kernels:
            kernels[xp] = xp.fuse(function)
        return kernels[xp](*arguments)

    return call
