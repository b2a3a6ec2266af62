"""``cupy.fuse``: a function of element-by-element operations as one kernel."""

import functools

import numpy as np

from strict_cupy.arrays import ndarray
from strict_cupy.counting import describe, fusion, meter
from strict_cupy.memory import FusedScalar, array_of


def fuse(function):
    """Compile a function of arrays and scalars into one kernel."""

    @functools.wraps(function)
    def fused(*arguments):
        arrays = [argument for argument in arguments if isinstance(argument, ndarray)]
        if fusion.on or not arrays:
            return function(*arguments)
        kinds = tuple(map(describe, arguments))
        shape = np.broadcast_shapes(*(array_of(array).shape for array in arrays))
        fusion.on = True
        try:
            returned = function(*(parameter(argument, shape) for argument in arguments))
        finally:
            fusion.on = False
        result = returned_arrays(returned)
        meter.launch()
        meter.fused.add((function, kinds))
        return result

    return fused


def parameter(argument, shape):
    if isinstance(argument, ndarray):
        # The kernel runs once for each element of the whole shape; a smaller array must not be
        # written to then, and numpy's broadcast ones cannot be.
        whole = argument._data.shape == shape
        return ndarray(
            argument._data if whole else np.broadcast_to(argument._data, shape), argument
        )
    if isinstance(argument, bool | int | float | np.generic):
        return FusedScalar(argument)
    raise TypeError(f"Invalid argument type for a fused function: {type(argument)}")


def returned_arrays(returned):
    """New arrays, even where the function returns one of its parameters."""
    if isinstance(returned, tuple):
        return tuple(map(returned_arrays, returned))
    if returned is None:
        return None
    if not isinstance(returned, ndarray):
        raise TypeError(f"Fusion function can't return {type(returned)}")
    return ndarray(returned._data.copy())
