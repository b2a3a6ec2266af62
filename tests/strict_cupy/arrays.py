"""The array of the device: what is known of it, how it is looked at, indexed and computed with."""

import numpy as np

from strict_cupy import ufuncs
from strict_cupy.counting import fusion, meter
from strict_cupy.memory import (
    Memory,
    array_of,
    computed,
    offered,
    operand,
    refuse_overlap,
    result,
    view,
    view_or_result,
)
from strict_cupy.reductions import reduction
from strict_cupy.ufuncs import operators


def attribute(name):
    def read(self):
        fusion.refuse(f"cupy.ndarray.{name}")
        return getattr(self._data, name)

    return property(read)


class ndarray(Memory):
    """An array on the device. The functions of this package make one; nothing else can."""

    __module__ = "cupy"
    __slots__ = ()
    __hash__ = None

    # What is known without asking the device.

    dtype = property(lambda self: self._data.dtype)
    base = property(lambda self: self._base)
    shape, ndim, size = attribute("shape"), attribute("ndim"), attribute("size")
    itemsize, nbytes, strides = attribute("itemsize"), attribute("nbytes"), attribute("strides")

    def __len__(self):
        fusion.refuse("len()")
        return len(self._data)

    # Each of these waits for the device and fetches the array. (CuPy's array has no __index__, so
    # no range(x).)

    @offered
    def get(self):
        return self._fetched().copy()

    @offered
    def __float__(self):
        return float(self._fetched())

    @offered
    def __int__(self):
        return int(self._fetched())

    @offered
    def __bool__(self):
        return bool(self._fetched())

    # Operators.

    __add__, __radd__, __iadd__ = operators(ufuncs.add)
    __sub__, __rsub__, __isub__ = operators(ufuncs.subtract)
    __mul__, __rmul__, __imul__ = operators(ufuncs.multiply)
    __truediv__, __rtruediv__, __itruediv__ = operators(ufuncs.divide)
    __and__, __rand__, __iand__ = operators(ufuncs.bitwise_and)
    __xor__, __rxor__, __ixor__ = operators(ufuncs.bitwise_xor)
    __matmul__, __rmatmul__, _ = operators(ufuncs.matmul)  # a @= b is a = a @ b, in CuPy too
    __eq__, __ne__ = operators(ufuncs.equal)[0], operators(ufuncs.not_equal)[0]
    __lt__, __gt__ = operators(ufuncs.less)[0], operators(ufuncs.greater)[0]

    def __pow__(self, other):
        return ufuncs.power(self, other)

    def __neg__(self):
        return ufuncs.negative(self)

    def __abs__(self):
        fusion.refuse("abs(array)")  # missing from CuPy's arrays within a fused function
        return ufuncs.absolute(self)

    # Indexing.

    @offered
    def __getitem__(self, slices):
        key, advanced = index(slices)
        return result(np.array(self._data[key])) if advanced else view(self._data[key], self)

    @offered
    def __setitem__(self, slices, value):
        key, advanced = index(slices)
        source = operand(value)
        if advanced and not isinstance(value, ndarray):
            meter.upload(self.itemsize)  # CuPy makes an array of the scalar
        elif advanced:
            refuse_repeats(self.shape, key)
        elif isinstance(value, ndarray):
            if same_memory(self._data[key], source):
                return  # the second half of x[1:] += y; the first has computed in place
            refuse_overlap(self._data[key], source)
        meter.launch()
        computed(self._data.__setitem__, key, source)

    @offered
    def fill(self, value):
        meter.launch()
        computed(self._data.fill, operand(value))

    @offered
    def take(self, indices, axis=None, out=None):
        return result(self._data.take(operand(indices), axis), out)

    # Shape and type.

    @property
    def T(self):
        fusion.refuse("cupy.ndarray.T")
        return view(self._data.T, self)

    @offered
    def reshape(self, *shape, order="C"):
        return view_or_result(self._data.reshape(*shape, order=order), self)

    @offered
    def ravel(self, order="C"):
        return view_or_result(self._data.ravel(order), self)

    @offered
    def transpose(self, *axes):
        return view(self._data.transpose(*axes), self)

    @offered
    def astype(self, dtype, order="K", *, copy=True):
        if not copy and self.dtype == dtype:
            return self
        return result(computed(self._data.astype, dtype, order=order))

    @offered
    def copy(self, order="C"):
        return result(self._data.copy(order))

    @offered
    def __deepcopy__(self, memo):
        return result(array_of(self).copy())

    sum, mean = reduction("sum", dtypes=True), reduction("mean", dtypes=True)
    max, min, argmax = reduction("max"), reduction("min"), reduction("argmax")


def index(slices):
    """An index for numpy from one for CuPy, and whether it holds arrays (and thus makes a copy)."""
    key = slices if isinstance(slices, tuple) else (slices,)
    for part in key:
        simple = part is None or part is Ellipsis or isinstance(part, slice | int | np.integer)
        if isinstance(part, bool) or not (simple or isinstance(part, ndarray)):
            raise IndexError(
                "An index is made of ints, slices, None, ... and arrays of the device, not of"
                f" {type(part)}"
            )
    arrays = [array_of(part) for part in key if isinstance(part, ndarray)]
    for array in arrays:
        if array.dtype.kind not in "biu":
            raise IndexError(
                f"Arrays used as indices must be of integer or boolean type, not {array.dtype}"
            )
        if array.dtype == bool:
            meter.fetch(4)  # CuPy must know how many are True
    key = tuple(part._data if isinstance(part, ndarray) else part for part in key)
    if not arrays and not any(part is Ellipsis for part in key):
        key = (*key, Ellipsis)  # with it numpy returns a view of no axes, and without it a scalar
    return key, bool(arrays)


def refuse_repeats(shape, key):
    places = np.arange(np.prod(shape, dtype=int)).reshape(shape)[key]
    if np.unique(places).size != places.size:
        raise ValueError("One place is written twice: on a GPU it is undefined which value stays")


def same_memory(x, y):
    def place(data):
        return data.__array_interface__["data"], data.dtype, data.shape, data.strides

    return place(x) == place(y)
