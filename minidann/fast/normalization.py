"""Batch normalisation block by block, with long runs.

The lesson writes every intermediate array of the formula in full, so each goes through slow memory.
Here the formula runs over a few rows at a time, which stay in the processor's cache from the first
operation to the last, and threads share these blocks. Only x - mu is kept for backward, and xhat is
nowhere written:

    centred = x - mu                          var = mean(centred^2), while it is in the cache
    y = slope centred + beta                  slope = gamma / sigma
    dx = slope (dy - mean(dy) - centred mean(dy centred) / sigma^2)

A row has C numbers, and NumPy's loop over 64 numbers takes longer to begin than to run. So R rows
are taken as one of R C numbers, beside R times the same mu: (P, m, C) -> (P, m / R, R C). A sum
over rows is a product with a row of ones, which takes a third of its time. On a GPU each formula is
one kernel.

Measured on one core (Zen 5), forward and backward in ms, beside the lesson and beside blocks
without long runs that keep xhat:

                                    lesson   blocks   here
    64 images of 28 x 28 x 32          9.3      5.5    3.9
    128 images of 24 x 24 x 64          22       15     11
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minidann.runtime.arrays import Array, array_module, fused
from minidann.runtime.checks import check_gradient
from minidann.runtime.threads import cache_blocks, parallel_map

RUN = 1024  # numbers in R rows, about
SMALL = 1 << 16  # numbers that are not worth the arrangement
BLOCK_BYTES = 1 << 20


class BatchNorm:
    """The twin of :class:`minidann.nn.BatchNorm`."""

    def forward(self: Any, x: Array, train: bool = False) -> Array:
        self._train = train
        x_parts = self._split(x, train)  # (P, m, C)
        if train:
            m = x_parts.shape[1]
            mu = totals([identity], x_parts)[0] / m  # (P, 1, C)
            self._centred, squares = blockwise(difference, x_parts, mu, summed=square)
            var = squares / m
            self._track(mu, var)
        else:
            mu, var = (self.state[name].reshape(1, 1, -1) for name in ("mean", "var"))
            self._centred, _ = blockwise(difference, x_parts, mu)
        self._per_sigma = 1 / array_module(x).sqrt(var + self.epsilon)
        slope, beta = self.params["gamma"] * self._per_sigma, self.params["beta"].reshape(1, 1, -1)
        y, _ = blockwise(scale_and_shift, self._centred, slope, beta)
        return y.reshape(x.shape)

    def backward(self: Any, dy: Array) -> Array:
        check_gradient(self, dy)
        dy_parts, per_sigma = dy.reshape(self._centred.shape), self._per_sigma
        dbeta, along = totals(
            [identity, product], dy_parts, self._centred
        )  # (P, 1, C): of each part
        self.grads["gamma"] = (along * per_sigma).sum(axis=(0, 1))
        self.grads["beta"] = dbeta.sum(axis=(0, 1))
        slope = self.params["gamma"] * per_sigma
        if not self._train:
            return (dy_parts * slope).reshape(dy.shape)
        m = dy_parts.shape[1]
        constants = dbeta / m, along * per_sigma**2 / m, slope
        dx, _ = blockwise(input_gradient, dy_parts, self._centred, *constants)
        return dx.reshape(dy.shape)


def identity(dy: Array, centred: Array | None = None) -> Array:
    """dy"""
    return dy


def product(dy: Array, centred: Array) -> Array:
    """dy (x - mu)"""
    return dy * centred


def square(centred: Array) -> Array:
    """(x - mu)^2"""
    return centred * centred


def difference(x: Array, mu: Array) -> Array:
    """x - mu"""
    return x - mu


@fused
def scale_and_shift(centred: Array, slope: Array, beta: Array) -> Array:
    """y of the formulas above."""
    return slope * centred + beta


@fused
def input_gradient(
    dy: Array, centred: Array, mean_dy: Array, mean_dy_xhat_per_sigma: Array, slope: Array
) -> Array:
    """dx of the formulas above."""
    return slope * (dy - mean_dy - centred * mean_dy_xhat_per_sigma)


def totals(functions: list[Callable], x: Array, *others: Array) -> list[Array]:
    """The sum over m of each function(x, *others): (P, 1, C).

    x is (P, m, C); the others are (P, m, C) or (P, 1, C).
    """
    if array_module(x) is not np:
        return [function(x, *others).sum(axis=1, keepdims=True) for function in functions]
    arrays = widened(x, *others)

    def work(rows):
        parts = of_rows(arrays, rows)
        return [added_up(function(*parts)) for function in functions]

    return [narrowed(sum(sums), x) for sums in zip(*parallel_map(work, row_blocks(arrays[0])))]


def blockwise(
    function: Callable, x: Array, *others: Array, summed: Callable | None = None
) -> tuple[Array, Array | None]:
    """y = function(x, *others), element by element, and the sum over m of ``summed(y)``, if given.

    x and y are (P, m, C), the others (P, m, C) or (P, 1, C), the sum (P, 1, C).
    """
    if array_module(x) is not np:
        y = function(x, *others)
        return y, None if summed is None else summed(y).sum(axis=1, keepdims=True)
    arrays = widened(x, *others)
    y = np.empty(arrays[0].shape, np.result_type(*arrays))

    def work(rows):
        y[:, rows] = values = function(*of_rows(arrays, rows))
        return None if summed is None else added_up(summed(values))

    sums = parallel_map(work, row_blocks(y))
    return y.reshape(x.shape), None if summed is None else narrowed(sum(sums), x)


def widened(x: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """R rows as one: (P, m, C) -> (P, m / R, R C); (P, 1, C) -> (P, 1, R C), R times the same."""
    p, m, c = x.shape
    rows = 1
    if x.size > SMALL and c < RUN:
        rows = math.gcd(m, 1 << (RUN // c).bit_length() - 1)  # the largest power of 2 that will do
    return [
        array.reshape(p, m // rows, rows * c) if array.shape[1] == m else np.tile(array, rows)
        for array in (x, *others)
    ]


def narrowed(sums: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The sums of R rows that were taken as one, together: (P, 1, R C) -> (P, 1, C)."""
    p, _, c = x.shape
    return sums.reshape(p, 1, -1, c).sum(axis=2)


def added_up(values: np.ndarray) -> np.ndarray:
    """The sum over rows: (P, rows, R C) -> (P, 1, R C)."""
    return np.ones((1, values.shape[1]), values.dtype) @ values


def of_rows(arrays: list[np.ndarray], rows: slice) -> list[np.ndarray]:
    """These rows of each array, or its only one."""
    return [array[:, rows] if array.shape[1] > 1 else array for array in arrays]


def row_blocks(x: Array) -> list[slice]:
    """Small slices of the rows: what is computed from one stays in the cache."""
    return cache_blocks(x.shape[1], x[:, 0].nbytes, BLOCK_BYTES)
