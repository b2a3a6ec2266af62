"""What all of CuPy's functions share: the memory of an array, operands, results and views."""

import functools

import numpy as np

from strict_cupy.counting import describe, fusion, meter


class Memory:
    """The memory behind an array of the device; ``strict_cupy.ndarray`` is its one subclass."""

    __slots__ = ("_base", "_data", "_fused")
    __hash__ = None
    __array_ufunc__ = None  # numpy's operators and ufuncs then refuse it

    def __init_subclass__(cls):
        Memory.ndarray = cls  # what ``result`` and ``view`` make

    def __init__(self, data, base=None):
        self._data, self._base = data, base
        self._fused = fusion.on  # does it exist within a fused function only?

    def __repr__(self):
        return f"<strict cupy.ndarray {describe(self)}, shape {self._data.shape}>"

    def _fetched(self):
        """The numpy array, for the host: this waits for the device and transfers all of it."""
        meter.fetch(array_of(self).nbytes)
        return self._data

    # Nothing converts or walks through it by itself.

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_function__(self, function, types, arguments, keywords):
        raise TypeError(
            f"numpy.{function.__name__} does not work on an array of the device: call cupy's"
        )

    def __iter__(self):
        raise TypeError(
            "A Python loop over an array of the device would launch a kernel, or wait, for each"
            " element"
        )

    def __reduce_ex__(self, protocol):
        raise TypeError("Pickling would fetch the array from the device: use `.get()`")


class FusedScalar:
    """A scalar parameter within a fused function: an operand for arrays, and nothing else.

    CuPy compiles the function once for all values, so Python can neither look at the value nor
    compute with it (``1 - rate`` compiles, but to a float64, and so does all that it meets then).
    """

    __slots__ = ("_scalar",)
    __hash__ = None

    def __init__(self, scalar):
        self._scalar = scalar

    def __bool__(self):
        raise TypeError("Within a fused function a scalar has no value yet: decide outside of it")

    def __eq__(self, other):
        return NotImplemented if isinstance(other, Memory) else bool(self)


def offered(function, fusible=False):
    """Mark a part of CuPy's interface: record each call.

    Within a fused function a call is refused, unless the part is ``fusible``.
    """
    name = f"cupy.{function.__qualname__}"

    @functools.wraps(function)
    def call(*arguments, **keywords):
        if not fusible:
            fusion.refuse(name)
        returned = function(*arguments, **keywords)
        given = arguments[1:] if name.startswith("cupy.ndarray.") else arguments
        meter.record(name, given, keywords, returned)
        return returned

    return call


def operand(value):
    """The numpy array or the scalar behind an operand."""
    if isinstance(value, Memory):
        return array_of(value)
    if isinstance(value, FusedScalar):
        return value._scalar
    if isinstance(value, bool | int | float | complex | np.generic):
        return value
    raise TypeError(f"Unsupported type {type(value)}: copy it to the device first, by cupy.asarray")


def array_of(value):
    """The numpy array behind an array of the device; nothing else will do."""
    if not isinstance(value, Memory):
        raise TypeError(f"Unsupported type {type(value)}: a cupy.ndarray is needed")
    if value._fused != fusion.on:
        raise TypeError(
            "A fused function works on its parameters and on what it makes of them, and these stay"
            " within it"
        )
    return value._data


def computed(compute, *arguments, **keywords):
    """A GPU gives no warning of an overflow or of a division by zero."""
    with np.errstate(all="ignore"):
        return compute(*arguments, **keywords)


def result(data, out=None, casting="same_kind"):
    """What one kernel has computed: ``out``, or a new array, even where numpy made a scalar."""
    meter.launch()
    data = np.asarray(data)
    if out is None:
        return Memory.ndarray(data)
    if array_of(out).shape != data.shape:  # numpy would broadcast
        raise ValueError(f"Out shape is mismatched: {out._data.shape}, not {data.shape}")
    computed(np.copyto, out._data, data, casting=casting)
    return out


def view(data, of):
    """The same memory seen in another way."""
    return Memory.ndarray(data, of if of._base is None else of._base)


def view_or_result(data, of):
    """For functions that copy only where they must, such as reshape."""
    shared = data.size == 0 or np.may_share_memory(data, of._data)
    return view(data, of) if shared else result(data)


def refuse_overlap(target, source):
    if np.shares_memory(target, source):
        raise ValueError(
            "Source and target overlap: on a GPU the order in which they are copied is undefined"
        )
