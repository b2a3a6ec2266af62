"""Functions that make arrays, join them, choose and copy."""

import numpy as np

from strict_cupy.arrays import ndarray
from strict_cupy.counting import meter
from strict_cupy.memory import array_of, computed, offered, operand, refuse_overlap, result, view


@offered
def asarray(a, dtype=None, order=None):
    if isinstance(a, ndarray):
        if dtype is None or a.dtype == dtype:
            return a
        return result(np.array(array_of(a), dtype=dtype, order=order or "K"))
    data = np.array(a, dtype=dtype, order=order or "K")
    if data.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {data.dtype}")
    meter.upload(data.nbytes)
    return ndarray(data)


@offered
def empty(shape, dtype=float, order="C"):
    """Fresh memory, filled with garbage that shows when it is read unwritten; no kernel has run."""
    data = np.empty(shape, dtype, order)
    kind = data.dtype.kind
    garbage = {"b": True, "f": np.nan, "c": np.nan}
    data.fill(garbage[kind] if kind in garbage else np.iinfo(data.dtype).max)
    return ndarray(data)


@offered
def zeros(shape, dtype=float, order="C"):
    return result(np.zeros(shape, dtype, order))


@offered
def full(shape, fill_value, dtype=None, order="C"):
    return result(np.full(shape, operand(fill_value), dtype, order))


@offered
def zeros_like(a, dtype=None, order="K", subok=None, shape=None):
    return result(np.zeros_like(array_of(a), dtype, order, shape=shape))


@offered
def arange(start, stop=None, step=1, dtype=None):
    bounds = (0, start) if stop is None else (start, stop)
    return result(np.arange(*bounds, step, dtype))


@offered
def concatenate(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    """Join arrays: up to eight are copied one by one.

    Of more, CuPy first sends their addresses and sizes up, for a single kernel.
    """
    if len(tup) > 8:
        meter.upload(8 * len(tup))
        meter.upload(8 * len(tup))
    else:
        for _ in tup[1:]:
            meter.launch()
    return result(np.concatenate(list(map(array_of, tup)), axis, dtype=dtype, casting=casting), out)


@offered
def stack(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    parts = [view(np.expand_dims(array_of(part), axis), part) for part in tup]
    return concatenate(parts, axis, out, dtype=dtype, casting=casting)


@offered
def where(condition, x, y):
    return result(np.where(array_of(condition), operand(x), operand(y)))


@offered
def copyto(dst, src, casting="same_kind", where=None):
    if isinstance(src, ndarray):
        refuse_overlap(array_of(dst), src._data)
    meter.launch()
    mask = True if where is None else array_of(where)
    computed(np.copyto, array_of(dst), operand(src), casting=casting, where=mask)


@offered
def result_type(*arrays_and_dtypes):
    return np.result_type(
        *(given.dtype if isinstance(given, ndarray) else given for given in arrays_and_dtypes)
    )


@offered
def roll(a, shift, axis=None):
    return result(np.roll(array_of(a), shift, axis))


class lib:
    """``cupy.lib``."""

    class stride_tricks:
        @staticmethod
        @offered
        def as_strided(x, shape=None, strides=None):
            return view(np.lib.stride_tricks.as_strided(array_of(x), shape, strides), x)
