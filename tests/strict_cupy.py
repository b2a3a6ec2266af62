"""A strict stand-in for CuPy, over NumPy: what would break on a GPU breaks here, on a machine without one.

Tests put this module in CuPy's place, ``monkeypatch.setitem(sys.modules, "cupy", strict_cupy)``,
and run the package on it. It computes what NumPy computes, and differs from NumPy where CuPy does:

- An array here is not a numpy array and never turns into one by itself: the two do not mix, numpy's
  functions refuse it, a list is no index, and what a reduction returns stays an array "on the
  device".
- Only what CuPy has is here, with the parameters that CuPy has (as of 14.2): ``sum(where=...)`` is
  an error.
- Fresh memory holds garbage that shows.
- Where a GPU's answer depends on which thread comes first, there is an error: writing twice to one
  place by an array of indices, or copying between overlapping parts of one array.

``meter`` counts what costs time on a GPU (transfers, waits for the device, kernel launches) and
keeps a record of every kind of call, so that a machine with a GPU can repeat each one on CuPy
itself.

How to read the code: a function marked ``@_offered`` is part of CuPy's interface. Its result is
made by ``_result``, which counts one kernel launch, or by ``_view``, which counts none.
"""

import builtins  # ``sum``, ``any`` and others are CuPy's in this module
import functools
import threading
import time
from typing import NamedTuple

import numpy as np
from numpy import (
    bool_,
    nan,
)

__version__ = "14.2.0+strict"


# ---------------------------------------------------------------------------------------------- the
# meter


class Call(NamedTuple):
    """One kind of call: its name, and its arguments (without a method's own array) and result, as ``_describe`` puts them."""

    name: str
    arguments: tuple
    keywords: tuple
    result: object


class Meter:
    """What a GPU would have spent time on, and every kind of call that was made."""

    def __init__(self):
        self.calls, self.fused = set(), set()
        self._lock = threading.Lock()
        self.waits = 0  # like ``syncs``, but never set back: an event asks it what is done
        self.reset()

    def reset(self):
        """Counts start again; ``calls`` and ``fused`` are kept."""
        self.up, self.down = [], []  # bytes of each transfer, to the device and from it
        self.syncs = self.launches = 0

    def upload(self, nbytes):
        self.up.append(nbytes)

    def fetch(self, nbytes):
        """A transfer to the host waits until the device has computed what it transfers."""
        self.down.append(nbytes)
        self.synchronize()

    def synchronize(self):
        with self._lock:
            self.syncs += 1
            self.waits += 1

    def launch(self):
        if not _fusing():  # a fused function is launched as one
            with self._lock:
                self.launches += 1

    def record(self, name, arguments, keywords, result):
        described = tuple(sorted((key, _describe(value)) for key, value in keywords.items()))
        kinds = tuple(map(_describe, result)) if isinstance(result, tuple) else _describe(result)
        self.calls.add(Call(name, tuple(map(_describe, arguments)), described, kinds))


meter = Meter()


def _describe(value):
    """An array as ``float32[4]``, by dtype and number of axes; anything else by its type."""
    if isinstance(value, ndarray):
        return f"{value._data.dtype}[{value._data.ndim}]"
    if isinstance(value, _FusedScalar):
        return _describe(value.value)
    if isinstance(value, np.generic):
        return f"numpy.{type(value).__name__}"
    return "None" if value is None else type(value).__name__


# ------------------------------------------------------------------------- what all functions have
# in common


def _offered(function, fusible=False):
    """Marks a part of CuPy's interface: record the call, and refuse it within a fused function if it is not ``fusible``."""
    name = f"cupy.{function.__qualname__}"

    @functools.wraps(function)
    def call(*arguments, **keywords):
        if not fusible:
            _refuse_in_fusion(name)
        result = function(*arguments, **keywords)
        meter.record(
            name, arguments[1:] if name.startswith("cupy.ndarray.") else arguments, keywords, result
        )
        return result

    return call


def _operand(value):
    """The numpy array or the scalar behind an operand."""
    if isinstance(value, ndarray):
        return _array(value)
    if isinstance(value, _FusedScalar):
        return value.value
    if isinstance(value, bool | int | float | complex | np.generic):
        return value
    raise TypeError(f"Unsupported type {type(value)}: copy it to the device first, by cupy.asarray")


def _array(value):
    """The numpy array behind an array of the device; nothing else will do."""
    if not isinstance(value, ndarray):
        raise TypeError(f"Unsupported type {type(value)}: a cupy.ndarray is needed")
    if value._fused != _fusing():
        raise TypeError(
            "A fused function works on its parameters and on what it makes of them, and these stay within it"
        )
    return value._data


def _arrays(values):
    return [_array(value) for value in values]


def _computed(compute, *arguments, **keywords):
    """A GPU gives no warning of an overflow or of a division by zero."""
    with np.errstate(all="ignore"):
        return compute(*arguments, **keywords)


def _result(data, out=None, casting="same_kind"):
    """What one kernel has computed: a new array, also where numpy has made a scalar of it, or ``out``."""
    meter.launch()
    data = np.asarray(data)
    if out is None:
        return ndarray(data)
    if _array(out).shape != data.shape:  # numpy would broadcast
        raise ValueError(f"Out shape is mismatched: {out._data.shape}, not {data.shape}")
    _computed(np.copyto, out._data, data, casting=casting)
    return out


def _view(data, of):
    """The same memory seen in another way."""
    return ndarray(data, of if of._base is None else of._base)


def _view_or_result(data, of):
    """For functions that copy only where they must, such as reshape."""
    return (
        _view(data, of) if data.size == 0 or np.may_share_memory(data, of._data) else _result(data)
    )


def _same_memory(x, y):
    def place(data):
        return data.__array_interface__["data"], data.dtype, data.shape, data.strides

    return place(x) == place(y)


def _refuse_overlap(target, source):
    if np.shares_memory(target, source):
        raise ValueError(
            "Source and target overlap: on a GPU the order in which they are copied is undefined"
        )


def _index(slices):
    """An index for numpy from an index for CuPy, and whether it holds arrays (and thus makes a copy)."""
    key = slices if isinstance(slices, tuple) else (slices,)
    for part in key:
        simple = part is None or part is Ellipsis or isinstance(part, slice | int | np.integer)
        if isinstance(part, bool) or not (simple or isinstance(part, ndarray)):
            raise IndexError(
                f"An index is made of ints, slices, None, ... and arrays of the device, not of {type(part)}"
            )
    arrays = [_array(part) for part in key if isinstance(part, ndarray)]
    for array in arrays:
        if array.dtype.kind not in "biu":
            raise IndexError(
                f"Arrays used as indices must be of integer or boolean type, not {array.dtype}"
            )
        if array.dtype == bool_:
            meter.fetch(4)  # CuPy must know how many are True
    key = tuple(part._data if isinstance(part, ndarray) else part for part in key)
    if not arrays and not builtins.any(part is Ellipsis for part in key):
        key = (*key, Ellipsis)  # with it numpy returns a view of no axes, and without it a scalar
    return key, bool(arrays)


def _refuse_repeats(shape, key):
    places = np.arange(np.prod(shape, dtype=int)).reshape(shape)[key]
    if np.unique(places).size != places.size:
        raise ValueError("One place is written twice: on a GPU it is undefined which value stays")


# -----------------------------------------------------------------------------------------------
# fusion

_fusion = threading.local()


def _fusing():
    return getattr(_fusion, "on", False)


def _refuse_in_fusion(name):
    if _fusing():
        raise TypeError(
            f"{name} cannot be used within a fused function: only ufuncs and operators can"
        )


class _FusedScalar:
    """A scalar parameter within a fused function: an operand for arrays, and nothing else.

    CuPy compiles the function once for all values, so Python can neither look at the value nor
    compute with it (``1 - rate`` compiles, but to a float64, and so does then all that it meets).
    """

    __slots__ = ("value",)
    __hash__ = None

    def __init__(self, value):
        self.value = value

    def __bool__(self):
        raise TypeError("Within a fused function a scalar has no value yet: decide outside of it")

    def __eq__(self, other):
        return NotImplemented if isinstance(other, ndarray) else bool(self)


def fuse(function):
    """Compile a function of arrays and scalars into one kernel."""

    @functools.wraps(function)
    def fused(*arguments):
        if _fusing() or not builtins.any(isinstance(argument, ndarray) for argument in arguments):
            return function(*arguments)
        kinds = tuple(map(_describe, arguments))
        shape = np.broadcast_shapes(
            *(_array(argument).shape for argument in arguments if isinstance(argument, ndarray))
        )
        _fusion.on = True
        try:
            returned = function(*(_fused_parameter(argument, shape) for argument in arguments))
        finally:
            _fusion.on = False
        result = _fused_result(returned)
        meter.launch()
        meter.fused.add((function, kinds))
        return result

    return fused


def _fused_parameter(argument, shape):
    if isinstance(argument, ndarray):
        if argument._data.shape == shape:
            return ndarray(argument._data, argument)
        # The kernel runs once for each element of the whole shape; a smaller array must not be
        # written to then.
        return ndarray(np.broadcast_to(argument._data, shape), argument)
    if isinstance(argument, bool | int | float | np.generic):
        return _FusedScalar(argument)
    raise TypeError(f"Invalid argument type for a fused function: {type(argument)}")


def _fused_result(returned):
    """New arrays, even where the function returns one of its parameters."""
    if isinstance(returned, tuple):
        return tuple(map(_fused_result, returned))
    if returned is None:
        return None
    if not isinstance(returned, ndarray):
        raise TypeError(f"Fusion function can't return {type(returned)}")
    return ndarray(returned._data.copy())


# -----------------------------------------------------------------------------------------------
# ufuncs


def _ufunc(name):
    """CuPy's ufunc of that name, as a function: without ``where=``, and without ``.at``, ``.reduce`` and the rest."""
    compute = getattr(np, name)

    def apply(operands, out, casting, dtype):
        if _fusing() and not builtins.any(isinstance(operand, ndarray) for operand in operands):
            raise TypeError(
                f"cupy.{name} of scalars alone within a fused function: compute it outside"
            )
        result = _computed(compute, *map(_operand, operands), casting=casting, dtype=dtype)
        return _result(result, out, casting)

    def unary(x, /, out=None, *, casting="same_kind", dtype=None):
        return apply([x], out, casting, dtype)

    def binary(x1, x2, /, out=None, *, casting="same_kind", dtype=None):
        return apply([x1, x2], out, casting, dtype)

    function = unary if compute.nin == 1 else binary
    function.__name__ = function.__qualname__ = name
    return _offered(function, fusible=True)


add, subtract, multiply, power = (
    _ufunc("add"),
    _ufunc("subtract"),
    _ufunc("multiply"),
    _ufunc("power"),
)
divide, floor_divide, remainder = _ufunc("divide"), _ufunc("floor_divide"), _ufunc("remainder")
true_divide = divide
negative, positive, absolute, sign = (
    _ufunc("negative"),
    _ufunc("positive"),
    _ufunc("absolute"),
    _ufunc("sign"),
)
abs = absolute
exp, exp2, expm1, log, log1p = (
    _ufunc("exp"),
    _ufunc("exp2"),
    _ufunc("expm1"),
    _ufunc("log"),
    _ufunc("log1p"),
)
tanh, sqrt, square = _ufunc("tanh"), _ufunc("sqrt"), _ufunc("square")
maximum, minimum = _ufunc("maximum"), _ufunc("minimum")
equal, not_equal = _ufunc("equal"), _ufunc("not_equal")
greater, greater_equal, less, less_equal = (
    _ufunc("greater"),
    _ufunc("greater_equal"),
    _ufunc("less"),
    _ufunc("less_equal"),
)
logical_and, logical_or, logical_xor, logical_not = (
    _ufunc("logical_and"),
    _ufunc("logical_or"),
    _ufunc("logical_xor"),
    _ufunc("logical_not"),
)
bitwise_and, bitwise_or, bitwise_xor, invert = (
    _ufunc("bitwise_and"),
    _ufunc("bitwise_or"),
    _ufunc("bitwise_xor"),
    _ufunc("invert"),
)
isfinite, isinf, isnan = _ufunc("isfinite"), _ufunc("isinf"), _ufunc("isnan")


@_offered
def matmul(a, b, out=None):
    a, b = _array(a), _array(b)
    if out is not None:
        _refuse_overlap(_array(out), a)
        _refuse_overlap(_array(out), b)
    return _result(_computed(np.matmul, a, b), out)


def _operators(function):
    """``x + y``, ``y + x`` and ``x += y``, say, by one function."""

    def forward(self, other):
        return function(self, other)

    def reflected(self, other):
        return function(other, self)

    def in_place(self, other):
        return function(self, other, out=self)

    return forward, reflected, in_place


# ---------------------------------------------------------------------------------------------
# reductions


def _reduction(name, owner=""):
    """CuPy's reduction of that name: the function, or with the owner "ndarray." the method (whose ``a`` is self)."""
    compute = getattr(np, name)

    def apply(a, axis, out, keepdims, **keywords):
        return _result(_computed(compute, _array(a), axis=axis, keepdims=keepdims, **keywords), out)

    def plain(a, axis=None, out=None, keepdims=False):
        return apply(a, axis, out, keepdims)

    def with_dtype(a, axis=None, dtype=None, out=None, keepdims=False):
        return apply(a, axis, out, keepdims, dtype=dtype)

    def with_ddof(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
        return apply(a, axis, out, keepdims, dtype=dtype, ddof=ddof)

    function = {
        "sum": with_dtype,
        "prod": with_dtype,
        "mean": with_dtype,
        "var": with_ddof,
        "std": with_ddof,
    }.get(name, plain)
    function.__name__, function.__qualname__ = name, owner + name
    return _offered(function)


def _position(compute, a, axis, dtype, out, keepdims):
    """argmax and argmin; in CuPy they take a dtype."""
    found = compute(_array(a), axis=axis, keepdims=keepdims)
    return _result(found if dtype is None else found.astype(dtype), out)


# -------------------------------------------------------------------------------------------- the
# array


def _attribute(name):
    def read(self):
        _refuse_in_fusion(f"cupy.ndarray.{name}")
        return getattr(self._data, name)

    return property(read)


class ndarray:
    """An array on the device. The functions of this module make one; nothing else can."""

    __module__ = "cupy"
    __slots__ = ("_base", "_data", "_fused")
    __hash__ = None
    __array_ufunc__ = None  # numpy's operators and ufuncs then refuse it

    def __init__(self, data, base=None):
        self._data, self._base = data, base
        self._fused = _fusing()  # does it exist within a fused function only?

    def __repr__(self):
        return f"<strict cupy.ndarray {_describe(self)}, shape {self._data.shape}>"

    # Nothing converts or walks through it by itself.

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_function__(self, function, types, arguments, keywords):
        raise TypeError(
            f"numpy.{function.__name__} does not work on an array of the device: call cupy's"
        )

    def __iter__(self):
        raise TypeError(
            "A Python loop over an array of the device would launch a kernel, or wait, for each element"
        )

    def __reduce_ex__(self, protocol):
        raise TypeError("Pickling would fetch the array from the device: use `.get()`")

    @_offered
    def __deepcopy__(self, memo):
        return _result(_array(self).copy())

    # What is known without asking the device.

    dtype = property(lambda self: self._data.dtype)
    base = property(lambda self: self._base)
    shape, ndim, size = _attribute("shape"), _attribute("ndim"), _attribute("size")
    itemsize, nbytes, strides, flags = (
        _attribute("itemsize"),
        _attribute("nbytes"),
        _attribute("strides"),
        _attribute("flags"),
    )

    def __len__(self):
        _refuse_in_fusion("len()")
        return len(self._data)

    # Each of these waits for the device and fetches the array. (CuPy's array has no __index__, so
    # no range(x).)

    def _fetched(self):
        meter.fetch(_array(self).nbytes)
        return self._data

    @_offered
    def get(self):
        return self._fetched().copy()

    @_offered
    def item(self):
        return self._fetched().item()

    @_offered
    def tolist(self):
        return self._fetched().tolist()

    @_offered
    def __float__(self):
        return float(self._fetched())

    @_offered
    def __int__(self):
        return int(self._fetched())

    @_offered
    def __bool__(self):
        return bool(self._fetched())

    @_offered
    def set(self, arr):
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if (arr.dtype, arr.shape) != (self.dtype, self.shape):
            raise TypeError(f"{arr.dtype} {arr.shape} cannot be set to {self.dtype} {self.shape}")
        meter.upload(arr.nbytes)
        self._data[...] = arr

    # Operators.

    __add__, __radd__, __iadd__ = _operators(add)
    __sub__, __rsub__, __isub__ = _operators(subtract)
    __mul__, __rmul__, __imul__ = _operators(multiply)
    __truediv__, __rtruediv__, __itruediv__ = _operators(divide)
    __floordiv__, __rfloordiv__, __ifloordiv__ = _operators(floor_divide)
    __mod__, __rmod__, __imod__ = _operators(remainder)
    __pow__, _reflected_power, __ipow__ = _operators(power)
    __and__, __rand__, __iand__ = _operators(bitwise_and)
    __or__, __ror__, __ior__ = _operators(bitwise_or)
    __xor__, __rxor__, __ixor__ = _operators(bitwise_xor)
    __matmul__, __rmatmul__, _ = _operators(matmul)  # a @= b is a = a @ b, in CuPy too
    __eq__, __ne__ = _operators(equal)[0], _operators(not_equal)[0]
    __lt__, __le__ = _operators(less)[0], _operators(less_equal)[0]
    __gt__, __ge__ = _operators(greater)[0], _operators(greater_equal)[0]

    def __neg__(self):
        return negative(self)

    def __invert__(self):
        return invert(self)

    # The last three are missing from CuPy's arrays within a fused function.

    def __rpow__(self, other):
        _refuse_in_fusion("scalar ** array")
        return power(other, self)

    def __pos__(self):
        _refuse_in_fusion("+array")
        return positive(self)

    def __abs__(self):
        _refuse_in_fusion("abs(array)")
        return absolute(self)

    # Indexing.

    @_offered
    def __getitem__(self, slices):
        key, advanced = _index(slices)
        return _result(np.array(self._data[key])) if advanced else _view(self._data[key], self)

    @_offered
    def __setitem__(self, slices, value):
        key, advanced = _index(slices)
        source = _operand(value)
        if advanced and not isinstance(value, ndarray):
            meter.upload(self.itemsize)  # CuPy makes an array of the scalar
        elif advanced:
            _refuse_repeats(self.shape, key)
        elif isinstance(value, ndarray):
            if _same_memory(self._data[key], source):
                return  # the second half of x[1:] += y; the first has computed in place
            _refuse_overlap(self._data[key], source)
        meter.launch()
        _computed(self._data.__setitem__, key, source)

    @_offered
    def fill(self, value):
        meter.launch()
        _computed(self._data.fill, _operand(value))

    # Shape and type.

    @property
    def T(self):
        _refuse_in_fusion("cupy.ndarray.T")
        return _view(self._data.T, self)

    @_offered
    def reshape(self, *shape, order="C"):
        return _view_or_result(self._data.reshape(*shape, order=order), self)

    @_offered
    def ravel(self, order="C"):
        return _view_or_result(self._data.ravel(order), self)

    @_offered
    def transpose(self, *axes):
        return _view(self._data.transpose(*axes), self)

    @_offered
    def swapaxes(self, axis1, axis2):
        return _view(self._data.swapaxes(axis1, axis2), self)

    @_offered
    def squeeze(self, axis=None):
        return _view(self._data.squeeze(axis), self)

    @_offered
    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if casting is not None or subok is not None:
            raise TypeError("casting and subok are not supported by cupy.ndarray.astype")
        if not copy and self.dtype == dtype:
            return self
        return _result(_computed(self._data.astype, dtype, order=order))

    @_offered
    def copy(self, order="C"):
        return _result(self._data.copy(order))

    @_offered
    def take(self, indices, axis=None, out=None):
        return _result(self._data.take(_operand(indices), axis), out)

    @_offered
    def dot(self, b, out=None):
        return _result(_computed(np.dot, self._data, _array(b)), out)

    # Reductions: one element is still an array.

    sum, prod, mean = (
        _reduction("sum", "ndarray."),
        _reduction("prod", "ndarray."),
        _reduction("mean", "ndarray."),
    )
    var, std = _reduction("var", "ndarray."), _reduction("std", "ndarray.")
    max, min = _reduction("max", "ndarray."), _reduction("min", "ndarray.")
    all, any = _reduction("all", "ndarray."), _reduction("any", "ndarray.")

    @_offered
    def argmax(self, axis=None, out=None, dtype=None, keepdims=False):
        return _position(np.argmax, self, axis, dtype, out, keepdims)

    @_offered
    def argmin(self, axis=None, out=None, dtype=None, keepdims=False):
        return _position(np.argmin, self, axis, dtype, out, keepdims)


# --------------------------------------------------------------------------------------- making
# arrays


@_offered
def asarray(a, dtype=None, order=None):
    return _on_device(a, dtype, order or "K", copy=False)


@_offered
def array(obj, dtype=None, copy=True, order="K"):
    return _on_device(obj, dtype, order, copy)


def _on_device(obj, dtype, order, copy):
    if isinstance(obj, ndarray):
        same = dtype is None or obj.dtype == dtype
        return (
            obj if same and not copy else _result(np.array(_array(obj), dtype=dtype, order=order))
        )
    data = np.array(obj, dtype=dtype, order=order)
    if data.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {data.dtype}")
    meter.upload(data.nbytes)
    return ndarray(data)


@_offered
def asnumpy(a):
    return a._fetched().copy() if isinstance(a, ndarray) else np.asarray(a)


def _garbage(data):
    """Fresh memory as an array that shows when it is read unwritten; no kernel has run."""
    kind = data.dtype.kind
    data.fill({"b": True, "f": nan, "c": nan}[kind] if kind in "bfc" else np.iinfo(data.dtype).max)
    return ndarray(data)


@_offered
def empty(shape, dtype=float, order="C"):
    return _garbage(np.empty(shape, dtype, order))


@_offered
def zeros(shape, dtype=float, order="C"):
    return _result(np.zeros(shape, dtype, order))


@_offered
def ones(shape, dtype=float, order="C"):
    return _result(np.ones(shape, dtype, order))


@_offered
def full(shape, fill_value, dtype=None, order="C"):
    return _result(np.full(shape, _operand(fill_value), dtype, order))


@_offered
def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    return _garbage(np.empty_like(_array(prototype), dtype, order, shape=shape))


@_offered
def zeros_like(a, dtype=None, order="K", subok=None, shape=None):
    return _result(np.zeros_like(_array(a), dtype, order, shape=shape))


@_offered
def ones_like(a, dtype=None, order="K", subok=None, shape=None):
    return _result(np.ones_like(_array(a), dtype, order, shape=shape))


@_offered
def full_like(a, fill_value, dtype=None, order="K", subok=None, shape=None):
    return _result(np.full_like(_array(a), _operand(fill_value), dtype, order, shape=shape))


@_offered
def arange(start, stop=None, step=1, dtype=None):
    return _result(
        np.arange(start, stop, step, dtype)
        if stop is not None
        else np.arange(0, start, step, dtype)
    )


@_offered
def eye(N, M=None, k=0, dtype=float, order="C"):
    return _result(np.eye(N, M, k, dtype, order))


@_offered
def concatenate(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    """Up to eight arrays are copied one by one; of more, CuPy first sends their addresses and sizes up, for a single kernel."""
    if len(tup) > 8:
        meter.upload(8 * len(tup))
        meter.upload(8 * len(tup))
    else:
        for _ in tup[1:]:
            meter.launch()
    return _result(np.concatenate(_arrays(tup), axis, dtype=dtype, casting=casting), out)


@_offered
def stack(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    return _result(np.stack(_arrays(tup), axis, dtype=dtype, casting=casting), out)


# ------------------------------------------------------------------------------------ the same as
# methods


@_offered
def reshape(a, newshape, order="C"):
    return _view_or_result(_array(a).reshape(newshape, order=order), a)


@_offered
def ravel(a, order="C"):
    return _view_or_result(_array(a).ravel(order), a)


@_offered
def transpose(a, axes=None):
    return _view(_array(a).transpose(axes), a)


@_offered
def take(a, indices, axis=None, out=None):
    return _result(_array(a).take(_operand(indices), axis), out)


@_offered
def dot(a, b, out=None):
    return _result(_computed(np.dot, _array(a), _array(b)), out)


sum, prod, mean = _reduction("sum"), _reduction("prod"), _reduction("mean")
var, std = _reduction("var"), _reduction("std")
max, min, amax, amin = _reduction("max"), _reduction("min"), _reduction("amax"), _reduction("amin")
all, any = _reduction("all"), _reduction("any")


@_offered
def argmax(a, axis=None, dtype=None, out=None, keepdims=False):
    return _position(np.argmax, a, axis, dtype, out, keepdims)


@_offered
def argmin(a, axis=None, dtype=None, out=None, keepdims=False):
    return _position(np.argmin, a, axis, dtype, out, keepdims)


# ------------------------------------------------------------------------------------- other
# functions


@_offered
def count_nonzero(a, axis=None):
    return _result(np.count_nonzero(_array(a), axis))


@_offered
def where(condition, x, y):
    return _result(np.where(_array(condition), _operand(x), _operand(y)))


@_offered
def copyto(dst, src, casting="same_kind", where=None):
    if isinstance(src, ndarray):
        _refuse_overlap(_array(dst), src._data)
    meter.launch()
    _computed(
        np.copyto,
        _array(dst),
        _operand(src),
        casting=casting,
        where=True if where is None else _array(where),
    )


@_offered
def result_type(*arrays_and_dtypes):
    return np.result_type(
        *(given.dtype if isinstance(given, ndarray) else given for given in arrays_and_dtypes)
    )


@_offered
def allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    return _result(np.allclose(_operand(a), _operand(b), rtol, atol, equal_nan))


@_offered
def roll(a, shift, axis=None):
    return _result(np.roll(_array(a), shift, axis))


@_offered
def broadcast_to(array, shape):
    return _view(np.broadcast_to(_array(array), shape), array)


@_offered
def expand_dims(a, axis):
    return _view(np.expand_dims(_array(a), axis), a)


@_offered
def moveaxis(a, source, destination):
    return _view(np.moveaxis(_array(a), source, destination), a)


@_offered
def flip(a, axis=None):
    return _view(np.flip(_array(a), axis), a)


class lib:
    """``cupy.lib``."""

    class stride_tricks:
        @staticmethod
        @_offered
        def as_strided(x, shape=None, strides=None):
            return _view(np.lib.stride_tricks.as_strided(_array(x), shape, strides), x)

        @staticmethod
        @_offered
        def sliding_window_view(x, window_shape, axis=None):
            """CuPy copies the window's shape to the device and asks there, length by length, whether it is negative."""
            lengths = np.atleast_1d(window_shape)
            meter.upload(lengths.nbytes)
            for _ in lengths:
                meter.launch()
                meter.fetch(1)
            return _view(np.lib.stride_tricks.sliding_window_view(_array(x), window_shape, axis), x)


# --------------------------------------------------------------------------------------- the device
# itself


class _MemoryPool:
    def used_bytes(self):
        return 0

    def total_bytes(self):
        return 0

    def free_all_blocks(self):
        pass


class _PinnedMemoryPool:
    def free_all_blocks(self):
        pass


_memory_pool, _pinned_memory_pool = _MemoryPool(), _PinnedMemoryPool()


def get_default_memory_pool():
    return _memory_pool


def get_default_pinned_memory_pool():
    return _pinned_memory_pool


class _Stream:
    def synchronize(self):
        meter.synchronize()


class cuda:
    """``cupy.cuda``: one device with one stream, on which all that is asked for is done at once."""

    class runtime:
        class CUDARuntimeError(RuntimeError):
            pass

        @staticmethod
        def getDeviceCount():
            return 1

        @staticmethod
        def getDeviceProperties(device):
            return {"name": b"Stand-in", "totalGlobalMem": 8 << 30}

        @staticmethod
        def runtimeGetVersion():
            return 13000

        @staticmethod
        def driverGetVersion():
            return 13000

    class Device:
        def __init__(self, device=None):
            self.id = device or 0
            self.mem_info = (8 << 30, 8 << 30)  # free and total bytes

        def synchronize(self):
            meter.synchronize()

    class Stream(_Stream):
        null = _Stream()

    class Event:
        """A mark in the stream of work; its time is known once the host has waited for the device."""

        def record(self, stream=None):
            self._time, self._waits = time.perf_counter(), meter.waits

        def synchronize(self):
            meter.synchronize()

    @staticmethod
    def get_elapsed_time(start_event, end_event):
        if meter.waits == end_event._waits:
            raise cuda.runtime.CUDARuntimeError(
                "cudaErrorNotReady: nothing has waited for the end event"
            )
        return (end_event._time - start_event._time) * 1000

    @staticmethod
    def get_current_stream():
        return cuda.Stream.null

    @staticmethod
    def is_available():
        return True
