"""Max pooling along one axis after the other, which remembers the winners.

The maximum over a window is the maximum over the maxima of its rows. That takes KW - 1 comparisons
of two pixels in each row and KH - 1 of two rows, where the window has KH KW pixels. The lesson asks
again in backward which pixel was the largest; here forward notes it on the way:

    row[n, h, v] = max_j x[n, h, s v + j]       won[j]: pixel j is larger than all before it
    y[n, u, v]   = max_i row[n, s u + i, v]     won[i]: row i is larger than all before it

The last one that won takes the gradient. So drow first, and from it dx, are

    for j = KW - 1, ..., 1:     dx[s v + j] += dy won[j]        dy <- dy - dy won[j]
                                dx[s v] += dy

Of equal pixels that is the first in the first row that has it, as in the lesson. In evaluation
nothing is noted. Where a window reaches into the border there is no pixel to compare, so no border
is laid around the image. Threads share the images, a few at a time, which stay in the processor's
cache.

MEASURED
"""

from typing import NamedTuple

import numpy as np

from minidann.fast.images import Pair
from minidann.runtime.arrays import Array, array_module
from minidann.runtime.threads import cache_blocks, parallel_map

BLOCK_BYTES = 1 << 20  # of images that are worked on at a time


class MaxPool2D:
    """The twin of :class:`minidann.nn.MaxPool2D`."""

    def forward(self, x: Array, train: bool = False) -> Array:
        xp = array_module(x)
        self._shape, self._x = x.shape, None if train else x
        n, h, w, c = x.shape
        border = self.border(x)
        self._rows, self._columns = (
            Axis.of(axis, *of_axis)
            for axis, *of_axis in zip((1, 2), (h, w), self.window, self.stride, border)
        )
        y = xp.empty((n, self._rows.count, self._columns.count, c), x.dtype)
        self._won = None
        if train:
            self._won = (
                xp.empty((n, self._columns.window - 1, h, self._columns.count, c), bool),
                xp.empty((n, self._rows.window - 1, *y.shape[1:]), bool),
            )

        def work(block):
            won = [of_axis[block] for of_axis in self._won] if train else (None, None)
            row = xp.empty((len(x[block]), h, self._columns.count, c), x.dtype)
            largest(x[block], self._columns, row, won[0])
            largest(row, self._rows, y[block], won[1])

        parallel_map(work, image_blocks(x))
        return y

    def backward(self, dy: Array) -> Array:
        if self._won is None:
            MaxPool2D.forward(self, self._x, train=True)
        xp = array_module(dy)
        dx = xp.empty(self._shape, dy.dtype)
        won_columns, won_rows = self._won

        def work(block):
            drow = xp.empty((len(dy[block]), *won_columns.shape[2:]), dy.dtype)
            hand_on(dy[block], self._rows, drow, won_rows[block])
            hand_on(drow, self._columns, dx[block], won_columns[block])

        parallel_map(work, image_blocks(dx))
        return dx


class Axis(NamedTuple):
    """Windows along one axis of an image.

    Attributes
    ----------
    count, window : int
        Windows, and pixels of each.
    taps : list of (index, index)
        For pixel j of a window: the windows whose pixel j lies in the image, and where it is there.
    all_begin_inside : bool
        Whether pixel 0 of every window lies in the image.
    tiles : int
        How many taps, the first ones, meet every pixel of the image, and each pixel once; 0 if some
        pixel is met by no window.
    """

    count: int
    window: int
    taps: list
    all_begin_inside: bool
    tiles: int

    @classmethod
    def of(cls, axis: int, length: int, window: int, stride: int, border: Pair) -> "Axis":
        """Axis number ``axis`` of images, of ``length`` pixels and the border before and after."""
        before = border[0]
        count = (length + sum(border) - window) // stride + 1
        whole, taps, reached = (slice(None),) * axis, [], []
        for j in range(window):
            # pixel j of window u is pixel s u + j - before of the image, where that is inside
            first = max(0, -((j - before) // stride))
            reached.append(-((j - before - length) // stride))
            last = max(first, min(count, reached[j]))
            start = stride * first + j - before
            pixels = slice(start, start + stride * (last - first), stride)
            taps.append(((*whole, slice(first, last)), (*whole, pixels)))
        covered = window >= stride and max(reached[:stride]) <= count
        return cls(count, window, taps, before == 0, stride if covered else 0)


def largest(x: Array, axis: Axis, y: Array, won: Array | None) -> None:
    """``y``: the largest pixel of each window; ``won[:, j - 1]``: if j is larger than all before."""
    xp = array_module(x)
    (windows, pixels), *others = axis.taps
    if not axis.all_begin_inside:
        y[...] = -np.inf
    y[windows] = x[pixels]
    for j, (windows, pixels) in enumerate(others):
        best, pixel = y[windows], x[pixels]
        if won is not None:
            if best.shape != y.shape:
                won[:, j] = False
            xp.greater(pixel, best, out=won[:, j][windows])
        xp.maximum(best, pixel, out=best)


def hand_on(dy: Array, axis: Axis, dx: Array, won: Array) -> None:
    """``dx``: the gradient of each pixel, the sum over the windows that it won."""
    shares = []
    for j in range(axis.window - 1, 0, -1):
        shares.append(dy * won[:, j - 1])
        dy = dy - shares[-1]
    shares.append(dy)
    if not axis.tiles:
        dx[...] = 0
    for j, ((windows, pixels), share) in enumerate(zip(axis.taps, reversed(shares))):
        if j < axis.tiles:
            dx[pixels] = share[windows]
        else:
            dx[pixels] += share[windows]


def image_blocks(x: Array) -> list[slice]:
    """Slices over the batch: small ones on a CPU, for its cache; on a GPU, one."""
    if array_module(x) is not np:
        return [slice(0, len(x))]
    return cache_blocks(len(x), x[:1].nbytes, BLOCK_BYTES)
