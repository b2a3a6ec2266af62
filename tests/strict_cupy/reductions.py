"""Reductions, which are methods here: one element is still an array of the device."""

import numpy as np

from strict_cupy.memory import array_of, computed, offered, result


def reduction(name, dtypes=False):
    """CuPy's method of that name; with ``dtypes`` one that can be told the dtype of its result."""
    compute = getattr(np, name)

    def plain(self, axis=None, *, out=None, keepdims=False):
        return result(computed(compute, array_of(self), axis=axis, keepdims=keepdims), out)

    def with_dtype(self, axis=None, dtype=None, out=None, keepdims=False):
        data = computed(compute, array_of(self), axis=axis, dtype=dtype, keepdims=keepdims)
        return result(data, out)

    function = with_dtype if dtypes else plain
    function.__name__, function.__qualname__ = name, f"ndarray.{name}"
    return offered(function)
