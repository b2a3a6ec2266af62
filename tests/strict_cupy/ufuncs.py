"""Functions of one element or two, the matrix product, and the operators that are made of them."""

import numpy as np

from strict_cupy.counting import fusion
from strict_cupy.memory import (
    Memory,
    array_of,
    computed,
    offered,
    operand,
    refuse_overlap,
    result,
)


def ufunc(name):
    """CuPy's ufunc of that name, as a function: it has no ``where=``, ``.at`` or ``.reduce``."""
    compute = getattr(np, name)

    def apply(operands, out, casting, dtype):
        if fusion.on and not any(isinstance(value, Memory) for value in operands):
            raise TypeError(
                f"cupy.{name} of scalars alone within a fused function: compute it outside"
            )
        data = computed(compute, *map(operand, operands), casting=casting, dtype=dtype)
        return result(data, out, casting)

    def unary(x, /, out=None, *, casting="same_kind", dtype=None):
        return apply([x], out, casting, dtype)

    def binary(x1, x2, /, out=None, *, casting="same_kind", dtype=None):
        return apply([x1, x2], out, casting, dtype)

    function = unary if compute.nin == 1 else binary
    function.__name__ = function.__qualname__ = name
    return offered(function, fusible=True)


add, subtract = ufunc("add"), ufunc("subtract")
multiply, divide, power = ufunc("multiply"), ufunc("divide"), ufunc("power")
negative, absolute = ufunc("negative"), ufunc("absolute")
exp, log, log1p = ufunc("exp"), ufunc("log"), ufunc("log1p")
tanh, sqrt = ufunc("tanh"), ufunc("sqrt")
maximum, minimum = ufunc("maximum"), ufunc("minimum")
equal, not_equal = ufunc("equal"), ufunc("not_equal")
greater, less = ufunc("greater"), ufunc("less")
bitwise_and, bitwise_xor = ufunc("bitwise_and"), ufunc("bitwise_xor")


@offered
def matmul(a, b, out=None):
    a, b = array_of(a), array_of(b)
    if out is not None:
        refuse_overlap(array_of(out), a)
        refuse_overlap(array_of(out), b)
    return result(computed(np.matmul, a, b), out)


def operators(function):
    """``x + y``, ``y + x`` and ``x += y``, say, by one function."""

    def forward(self, other):
        return function(self, other)

    def reflected(self, other):
        return function(other, self)

    def in_place(self, other):
        return function(self, other, out=self)

    return forward, reflected, in_place
