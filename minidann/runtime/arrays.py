"""Where arrays live: in main memory (numpy) or on a GPU (cupy).

The array itself decides. Every function of minidann that touches an array asks ``array_module`` for
the module that the array belongs to, and calls that one, so the same lines run on both. Nothing
moves between the two by itself: call ``to_device`` and ``to_host``.
"""

import platform
import sys
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from minidann.runtime.errors import InputError

# The type hint of an array of numpy or cupy: no type stands for both. What is a numpy array
# wherever the code runs is an np.ndarray.
Array = Any

F = TypeVar("F", bound=Callable[..., Any])


def array_module(x: Array) -> ModuleType:
    """The module whose functions work on ``x``: ``numpy``, or ``cupy`` for an array on a GPU.

    Raises
    ------
    InputError
        If ``x`` is no array: a list, a table, a sparse matrix.
    """
    if isinstance(x, np.ndarray):
        return np
    kind = type(x)
    package = kind.__module__.partition(".")[0]
    # in a kernel that is being fused, CuPy gives the function arrays of a type of its own
    if kind.__name__ == "ndarray" or package == "cupy" or isinstance(x, np.generic):
        return sys.modules[package]
    raise InputError(_no_array("the input", x))


def check_array(x: Array, name: str) -> None:
    """Refuse what only looks like an array of numbers of NumPy or CuPy.

    A Series of pandas is indexed by its labels, a masked array's mask would be ignored, a list has
    no shape: each would train on something else, or fail far from here.

    Parameters
    ----------
    x : any
    name : str
        What the message calls it, such as ``"x_source"``.

    Raises
    ------
    InputError
        With the remedy, such as ``.to_numpy()``.
    """
    kind = type(x)
    if kind.__name__ != "ndarray" and (
        not isinstance(x, np.ndarray) or isinstance(x, np.matrix | np.ma.MaskedArray)
    ):
        raise InputError(_no_array(name, x))
    if x.dtype.kind not in "biuf":
        raise InputError(
            f"{name} must be an array of numbers, not of {x.dtype}; convert it by "
            ".astype(np.float32)"
        )


REMEDIES = {  # the first that a thing has
    "to_numpy": ".to_numpy()",  # pandas, polars
    "toarray": ".toarray()",  # SciPy's sparse matrices
    "filled": ".filled(value)",  # NumPy's masked arrays
}


def _no_array(name: str, x: Any) -> str:
    kind = type(x)
    package = kind.__module__.partition(".")[0]
    what = kind.__name__ if package == "builtins" else f"{kind.__name__} of {package}"
    remedy = next((text for method, text in REMEDIES.items() if hasattr(x, method)), None)
    remedy = f"give its {remedy}" if remedy else "convert it by np.asarray"
    return f"{name} must be an array of NumPy or CuPy, not a {what}; {remedy}"


def to_device(x: Array) -> Array:
    """Copy an array to the GPU; one that is there already is returned as it is."""
    import cupy

    return cupy.asarray(x)


def to_host(x: Array) -> np.ndarray:
    """Copy an array (or a 0-d result) to main memory; a numpy array is returned as it is."""
    if hasattr(x, "to_numpy"):  # a table of pandas, whose ``get`` is another
        raise InputError(_no_array("the input", x))
    return np.asarray(x.get() if hasattr(x, "get") else x)


def to_device_of(x: Array, array: Array) -> Array:
    """Copy ``array`` to where ``x`` lives; one that is there already is returned as it is."""
    if array_module(array) is array_module(x):
        return array
    return to_host(array) if array_module(x) is np else to_device(array)


def synchronize(x: Array) -> None:
    """Wait for the device that ``x`` lives on: a GPU still works when Python has gone on."""
    if array_module(x) is not np:
        array_module(x).cuda.get_current_stream().synchronize()


def device_name(x: Array) -> str:
    """What ``x`` lives on, in words."""
    xp = array_module(x)
    if xp is np:
        return f"CPU ({platform.machine()})"
    return xp.cuda.runtime.getDeviceProperties(xp.cuda.Device().id)["name"].decode()


def peak_memory(x: Array) -> int:
    """The most memory that this process has held where ``x`` lives, in bytes.

    On a GPU it is what CuPy's pool has taken, which gives nothing back.
    """
    xp = array_module(x)
    if xp is np:
        import resource  # not on Windows

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024)
    return xp.get_default_memory_pool().total_bytes()


def fused(function: F) -> F:
    """On a GPU, make one kernel of a function of element-by-element operations.

    On numpy arrays the function is called as it is. It takes positional arguments, arrays first,
    and may change them in place.
    """
    kernels: dict[ModuleType, Any] = {}

    @wraps(function)
    def call(*arguments):
        xp = array_module(arguments[0])
        if xp is np:
            return function(*arguments)
        if xp not in kernels:
            kernels[xp] = xp.fuse(function)
        return kernels[xp](*arguments)

    return call  # type: ignore[return-value]
