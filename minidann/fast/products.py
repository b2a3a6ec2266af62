"""The products of a Dense layer in pieces, which threads share.

While minidann computes, BLAS is held to one thread: its own threads, waiting for work between two
products, would keep a core busy, and its sums depend on their number. So a large matrix product is
cut into pieces of some rows or columns, and every core takes its share. The pieces are the same
however many threads there are, and so is the result, to the last bit.

On two cores a product takes about half. On one only dx gains: OpenBLAS takes 19 ms instead of 23
for 64 rows and 8192 x 3072 weights if these are its first factor and lie as they are,
dx = (W dy^T)^T.

Before OpenBLAS multiplies two matrices, it copies both into panels, in the order in which its inner
loop reads them. For a tall matrix times a narrow one, such as windows (50176, 76) times weights
(76, 32), copying takes as long as multiplying. A small product it takes from where the matrices
lie; so tall matrices are multiplied a few rows at a time:

    out = a b           out[r] = a[r] b             for runs r of rows
    a^T b               sum over r of a[r]^T b[r]

That product takes 1.0 ms instead of 1.9 so (a Zen 5 core), its transpose (76, 50176) (50176, 32)
1.2 instead of 2.8.
"""

from typing import Any

import numpy as np

from minidann.runtime.arrays import Array, array_module
from minidann.runtime.checks import ROWS, check_gradient, check_input
from minidann.runtime.threads import PIECES, all_cores, parallel_map, slices

MEDIUM = 1 << 13  # multiplications: of fewer BLAS makes one piece, and does not wake its threads
LARGE = 1 << 24  # multiplications that are worth handing over to another thread
FEW_ROWS = 128  # whose dx is worth transposing
SMALL = 10**6  # multiplications of a product that OpenBLAS makes without panels, if it knows how


class Dense:
    """The twin of :class:`minidann.nn.Dense`."""

    def forward(self: Any, x: Array, train: bool = False) -> Array:
        W = self.params["W"]
        d, m = W.shape
        if type(x) is not np.ndarray or x.ndim != 2 or x.shape[1] != d:
            check_input(self, x, ROWS, d)
        self._x, self._y_shape = x, (len(x), m)
        self._small = x.size * m < MEDIUM  # in all three products
        return (x @ W if self._small else matmul(x, W)) + self.params["b"]  # (N, D) @ (D, M)

    def backward(self: Any, dy: Array) -> Array:
        W = self.params["W"]
        if self._small:
            self.parameter_gradients(dy)
            return dy @ W.T  # (N, M) @ (M, D)
        with all_cores():  # one entry for both products
            self.parameter_gradients(dy)
            return times_transposed(dy, W)

    def parameter_gradients(self: Any, dy: Array) -> None:
        if dy.shape != self._y_shape:
            check_gradient(self, dy)
        x = self._x.T
        self.grads["W"] = x @ dy if self._small else matmul(x, dy)  # (D, N) @ (N, M)
        self.grads["b"] = dy.sum(axis=0)


def matmul(a: Array, b: Array) -> Array:
    """``a @ b`` for two matrices, a large one in pieces of some rows or columns."""
    multiplications = a.size * b.shape[1]
    if multiplications < MEDIUM or array_module(a) is not np:
        return a @ b
    n, m = len(a), b.shape[1]
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


def times_transposed(dy: Array, W: Array) -> Array:
    """dy W^T, for a few rows dy and a large W as (W dy^T)^T."""
    n, d = len(dy), len(W)
    if dy.size * d < LARGE or n > FEW_ROWS or d < n or array_module(dy) is not np:
        return matmul(dy, W.T)
    dx = np.empty((n, d), np.result_type(dy, W))

    def work(rows):
        dx[:, rows] = np.matmul(W[rows], dy.T).T

    with all_cores():
        parallel_map(work, slices(d, PIECES))
    return dx


def row_runs(n: int, k: int, m: int) -> tuple[int, int]:
    """Runs of n rows for small products (rows, k) @ (k, m), and rows in them; a few are left."""
    count = max(1, min(n, -(-n * k * m // SMALL)))
    return count, n // count * count


def small_or_whole(n: int, k: int, m: int) -> list[slice]:
    """n rows in two halves if (rows, k) @ (k, m) is a small product of these; else as they are."""
    return slices(n, 2 if SMALL < n * k * m <= 2 * SMALL else 1)


def matmul_by_rows(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out = a b for a tall matrix a, a few rows at a time."""
    count, covered = row_runs(len(a), a.shape[1], b.shape[1])
    runs = a[:covered].reshape(count, -1, a.shape[1])
    np.matmul(runs, b, out=out[:covered].reshape(count, -1, b.shape[1]))
    if covered < len(a):
        np.matmul(a[covered:], b, out=out[covered:])


def transposed_matmul_by_rows(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a^T b for two tall matrices, as a sum over a few rows at a time."""
    count, covered = row_runs(len(a), a.shape[1], b.shape[1])
    a_runs, b_runs = (x[:covered].reshape(count, -1, x.shape[1]) for x in (a, b))
    y = np.matmul(a_runs.swapaxes(1, 2), b_runs).sum(axis=0)
    if covered < len(a):
        y += np.matmul(a[covered:].T, b[covered:])
    return y
