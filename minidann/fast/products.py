"""The products of a Dense layer in pieces, which threads share.

While minidann computes, BLAS is held to one thread, because its own threads, waiting for work
between two products, would keep a core busy. So a large matrix product is cut into pieces of some
rows or columns, and every core takes its share. The pieces are the same however many threads there
are, and so is the result, to the last bit.

On one core that gains nothing (64 rows through 8192 x 3072 weights take 97 ms forward and backward,
in the lesson 102); on two it takes about half.

Before OpenBLAS multiplies two matrices, it copies both into panels, in the order in which its inner
loop reads them. For a tall matrix times a narrow one, such as windows (50176, 76) times weights
(76, 32), copying takes as long as multiplying. A small product it takes from where the matrices
lie; so tall matrices are multiplied a few rows at a time:

    out = a b           out[r] = a[r] b             for runs r of rows
    a^T b               sum over r of a[r]^T b[r]

That product takes 1.0 ms instead of 1.9 so (a Zen 5 core), its transpose (76, 50176) (50176, 32)
1.2 instead of 2.8.
"""

import numpy as np

from minidann.runtime.arrays import Array, array_module
from minidann.runtime.threads import PIECES, all_cores, parallel_map, slices

MEDIUM = 1 << 17  # multiplications for which BLAS would not wake its own threads
LARGE = 1 << 24  # multiplications that are worth handing over to another thread
SMALL = 10**6  # multiplications of a product that OpenBLAS makes without panels, if it knows how


class Dense:
    """The twin of :class:`minidann.nn.Dense`."""

    def forward(self, x: Array, train: bool = False) -> Array:
        self._x = x
        return matmul(x, self.params["W"]) + self.params["b"]  # (N, D) @ (D, M)

    def backward(self, dy: Array) -> Array:
        self.parameter_gradients(dy)
        return matmul(dy, self.params["W"].T)  # (N, M) @ (M, D)

    def parameter_gradients(self, dy: Array) -> None:
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


def row_runs(n: int, k: int, m: int) -> tuple[int, int]:
    """Runs of n rows for small products (rows, k) @ (k, m), and rows in them; a few are left over."""
    count = max(1, min(n, -(-n * k * m // SMALL)))
    return count, n // count * count


def matmul_by_rows(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out = a b for a tall matrix a, a few rows at a time."""
    count, covered = row_runs(*a.shape, b.shape[1])
    runs = a[:covered].reshape(count, -1, a.shape[1])
    np.matmul(runs, b, out=out[:covered].reshape(count, -1, b.shape[1]))
    if covered < len(a):
        np.matmul(a[covered:], b, out=out[covered:])


def transposed_matmul_by_rows(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a^T b for two tall matrices, as a sum over a few rows at a time."""
    count, covered = row_runs(*a.shape, b.shape[1])
    a_runs, b_runs = (x[:covered].reshape(count, -1, x.shape[1]) for x in (a, b))
    y = np.matmul(a_runs.swapaxes(1, 2), b_runs).sum(axis=0)
    if covered < len(a):
        y += a[covered:].T @ b[covered:]
    return y
