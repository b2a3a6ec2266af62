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
is laid around the image.

With a stride of 2, pixels that are compared stand in even and in odd columns, C numbers here and C
numbers there, and NumPy's loops over so few take longer to begin than to run. So the columns are
sorted first, s planes of every s-th one, and the gradient's planes are put back at the end; a pixel
is moved as one thing of C numbers. Rows are long enough as they are.

Threads share the images, a few at a time, which stay in the processor's cache.

Measured on one core (Zen 5), forward and backward in ms, beside the lesson and beside comparing all
KH KW pixels in forward and again in backward, block by block:

                                                           lesson   all pixels   here
    64 images of 28 x 28 x 32, windows of 2                   9.3          2.3    1.7
    128 images of 32 x 32 x 64, windows of 3, stride 2        100           24     17
"""

from typing import Any, NamedTuple

import numpy as np

from minidann.fast.borders import Pair, copy_runs
from minidann.runtime.arrays import Array, array_module
from minidann.runtime.checks import check_gradient
from minidann.runtime.threads import cache_blocks, parallel_map

BLOCK_BYTES = 1 << 20  # of images that are worked on at a time
ROWS, COLUMNS = 1, 2  # axes of images


class MaxPool2D:
    """The twin of :class:`minidann.nn.MaxPool2D`."""

    def forward(self: Any, x: Array, train: bool = False) -> Array:
        xp, border = array_module(x), self.border(x)
        self._shape, self._x = x.shape, None if train else x
        n, h, _, c = x.shape
        sizes = zip(x.shape[1:3], self.window, self.stride, border)
        self._down, self._across = down, across = [windows_along(*size) for size in sizes]
        y = xp.empty((n, down.number, across.number, c), x.dtype)
        self._y_shape = y.shape
        self._won = None
        if train:
            won_across = xp.empty((n, len(across.taps) - 1, h, across.number, c), bool)
            self._won = won_across, xp.empty((n, len(down.taps) - 1, *y.shape[1:]), bool)

        def work(block):
            row = xp.empty((len(x[block]), h, across.number, c), x.dtype)
            won_across, won_down = [won[block] for won in self._won] if train else (None, None)
            planes = [sorted_out(plane) for plane in every(x[block], COLUMNS, across.stride)]
            largest(planes, COLUMNS, across, row, won_across)
            largest(every(row, ROWS, down.stride), ROWS, down, y[block], won_down)

        parallel_map(work, image_blocks(x))
        return y

    def backward(self: Any, dy: Array) -> Array:
        check_gradient(self, dy)
        if self._won is None:
            MaxPool2D.forward(self, self._x, train=True)
        xp, (won_across, won_down) = array_module(dy), self._won
        dx = xp.empty(self._shape, dy.dtype)
        down, across = self._down, self._across

        def work(block):
            drow = xp.empty((len(dy[block]), *won_across.shape[2:]), dy.dtype)
            planes = every(drow, ROWS, down.stride)
            for plane, given in zip(
                planes, hand_on(dy[block], ROWS, down, won_down[block], planes)
            ):
                plane[...] = given
            planes = every(dx[block], COLUMNS, across.stride)
            gifts = hand_on(drow, COLUMNS, across, won_across[block], planes)
            for plane, given in zip(planes, gifts):
                copy_runs(given, plane)

        parallel_map(work, image_blocks(dx))
        return dx


class Tap(NamedTuple):
    """Pixel j of the windows along an axis: in which windows it lies in the image, and where there.

    ``windows`` of all windows; ``cells`` of all pixels of the image whose number leaves the
    remainder ``phase`` when divided by the stride.
    """

    windows: slice
    phase: int
    cells: slice


class Windows(NamedTuple):
    """Windows along an axis: how many, their stride, and a Tap for each of their pixels."""

    number: int
    stride: int
    taps: list[Tap]


def windows_along(length: int, window: int, stride: int, border: Pair) -> Windows:
    """Windows along an axis of ``length`` pixels, with a border before and after."""
    before, after = border
    number, taps = (before + length + after - window) // stride + 1, []
    for j in range(window):
        # pixel j of window u is pixel s u + j - before of the image, where that is inside
        shift, phase = divmod(j - before, stride)
        first = max(0, -shift)
        last = max(first, min(number, -((phase - length) // stride) - shift))
        taps.append(Tap(slice(first, last), phase, slice(first + shift, last + shift)))
    return Windows(number, stride, taps)


def every(x: Array, axis: int, stride: int) -> list[Array]:
    """Views of every s-th row, or column, of images: from the first, from the second, ..."""
    return [x[along(axis, slice(phase, None, stride))] for phase in range(stride)]


def along(axis: int, part: slice) -> tuple[slice, ...]:
    """The index of a part of an axis."""
    return (*(slice(None),) * axis, part)


def sorted_out(plane: Array) -> Array:
    """A copy, with long runs; a GPU has no loops that begin."""
    xp = array_module(plane)
    if xp is not np:
        return plane
    copied = np.empty(plane.shape, plane.dtype)
    copy_runs(plane, copied)
    return copied


def largest(planes: list[Array], axis: int, windows: Windows, y: Array, won: Array | None) -> None:
    """``y``: the largest pixel of each window. ``won[:, j - 1]``: j is larger than all before."""
    xp, (first, *others) = array_module(y), windows.taps
    if first.windows != slice(0, windows.number):
        y[...] = -np.inf
    y[along(axis, first.windows)] = planes[first.phase][along(axis, first.cells)]
    for j, tap in enumerate(others):
        part = along(axis, tap.windows)
        best, pixel = y[part], planes[tap.phase][along(axis, tap.cells)]
        if won is not None:
            if best.shape != y.shape:
                won[:, j] = False  # of windows that have no such pixel in the image
            xp.greater(pixel, best, out=won[:, j][part])
        xp.maximum(best, pixel, out=best)


def hand_on(dy: Array, axis: int, windows: Windows, won: Array, planes: list[Array]) -> list[Array]:
    """What the pixels of each plane receive from the windows that they won."""
    shares = []
    for j in range(len(windows.taps) - 1, 0, -1):
        shares.append(dy * won[:, j - 1])
        dy = dy - shares[-1]
    shares = [dy, *reversed(shares)]
    received = []
    for phase, plane in enumerate(planes):
        taps = [(tap, share) for tap, share in zip(windows.taps, shares) if tap.phase == phase]
        received.append(added_up(taps, axis, plane))
    return received


def added_up(taps: list, axis: int, plane: Array) -> Array:
    """The shares of all taps of a plane, each where its pixels are."""
    total = None
    for tap, share in taps:
        share = share[along(axis, tap.windows)]
        if total is None and share.shape == plane.shape:
            total = share
            continue
        if total is None:
            total = array_module(plane).zeros(plane.shape, plane.dtype)
        total[along(axis, tap.cells)] += share
    return array_module(plane).zeros(plane.shape, plane.dtype) if total is None else total


def image_blocks(x: Array) -> list[slice]:
    """Slices over the batch: small ones on a CPU, for its cache; on a GPU, one."""
    if array_module(x) is not np:
        return [slice(0, len(x))]
    return cache_blocks(len(x), x[:1].nbytes, BLOCK_BYTES)
