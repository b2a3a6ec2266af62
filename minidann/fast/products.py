"""The products of a Dense layer in pieces, which threads share.

While minidann computes, BLAS is held to one thread: its own threads, waiting for work between two
products, would keep a core busy, and its sums depend on their number. So a large matrix product is
cut into pieces of some rows or columns, and every core takes its share. The pieces are the same
however many threads there are, and so is the result, to the last bit.

On one core that gains nothing (64 rows through 8192 x 3072 weights take 97 ms forward and backward,
in the lesson 102); on two it takes about half.
"""

from typing import Any

import numpy as np

from minidann.runtime.arrays import Array, array_module
from minidann.runtime.threads import PIECES, all_cores, parallel_map, slices

MEDIUM = 1 << 13  # multiplications: of fewer BLAS makes one piece, and does not wake its threads
LARGE = 1 << 24  # multiplications that are worth handing over to another thread


class Dense:
    """The twin of :class:`minidann.nn.Dense`."""

    def forward(self: Any, x: Array, train: bool = False) -> Array:
        self._x = x
        return matmul(x, self.params["W"]) + self.params["b"]  # (N, D) @ (D, M)

    def backward(self: Any, dy: Array) -> Array:
        self.parameter_gradients(dy)
        return matmul(dy, self.params["W"].T)  # (N, M) @ (M, D)

    def parameter_gradients(self: Any, dy: Array) -> None:
        self.grads["W"] = matmul(self._x.T, dy)  # (D, N) @ (N, M)
        self.grads["b"] = dy.sum(axis=0)


def matmul(a: Array, b: Array) -> Array:
    """``a @ b`` for two matrices, a large one in pieces of some rows or columns."""
    n, m = len(a), b.shape[1]
    multiplications = a.size * m
    if multiplications < MEDIUM or array_module(a) is not np:
        return a @ b
    with all_cores():
        if multiplications < LARGE:
            return a @ b
        y = np.empty((n, m), np.result_type(a, b))
        if n > m:
            parallel_map(lambda rows: np.matmul(a[rows], b, out=y[rows]), slices(n, PIECES))
        else:
            parallel_map(
                lambda columns: np.matmul(a, b[:, columns], out=y[:, columns]), slices(m, PIECES)
            )
        return y
