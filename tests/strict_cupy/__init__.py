"""A strict stand-in for CuPy, over NumPy: what would break on a GPU breaks here, without a GPU.

Tests put this package in CuPy's place, ``monkeypatch.setitem(sys.modules, "cupy", strict_cupy)``,
and run minidann on it. It computes what NumPy computes, and differs from NumPy where CuPy does:

- An array here is not a numpy array and never turns into one by itself: the two do not mix, numpy's
  functions refuse it, a list is no index, and what a reduction returns stays an array "on the
  device".
- Only what CuPy has is here, with the parameters that CuPy has (as of 14.2): ``sum(where=...)`` is
  an error. Of what CuPy has, only what minidann and its tests call is here.
- Fresh memory holds garbage that shows.
- Where a GPU's answer depends on which thread comes first, there is an error: writing twice to one
  place through an array of indices, or copying between overlapping parts of one array.

``meter`` counts what costs time on a GPU (transfers, waits for the device, kernel launches) and
keeps a record of every kind of call, so that the calls can be checked against CuPy itself.

How to read the package: ``counting`` counts and records; ``memory`` holds what all functions
share; ``arrays``, ``ufuncs``, ``reductions``, ``functions``, ``fusing`` and ``device`` hold CuPy's
interface. A function marked ``@offered`` is part of that interface. Its result is made by
``result``, which counts one kernel launch, or by ``view``, which counts none.

To offer another name: a ufunc needs its name in ``ufuncs``, a reduction its name in ``reductions``,
anything else a function in ``functions`` or a method in ``arrays``.
"""

from strict_cupy.arrays import ndarray
from strict_cupy.counting import Call, Meter, meter
from strict_cupy.device import _MemoryPool, cuda, get_default_memory_pool
from strict_cupy.functions import (
    arange,
    asarray,
    concatenate,
    copyto,
    empty,
    full,
    lib,
    result_type,
    roll,
    stack,
    where,
    zeros,
    zeros_like,
)
from strict_cupy.fusing import fuse
from strict_cupy.ufuncs import (
    absolute,
    add,
    bitwise_and,
    bitwise_xor,
    divide,
    equal,
    exp,
    greater,
    less,
    log,
    log1p,
    matmul,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    power,
    sqrt,
    subtract,
    tanh,
)

__version__ = "14.2.0+strict"
