"""Max pooling along one axis after the other, which remembers the winners.

The maximum over a window is the maximum of the maxima of its rows: KW - 1 + KH - 1 comparisons of
two pixels, where the window has KH KW. On the way the winners are noted, so that backward need not
ask again which pixel was the largest:

    wide[n, h, v] = max_j x[n, h, s v + j]        won[j]: larger than every pixel before it in the row
    y[n, u, v]    = max_i wide[n, s u + i, v]     won[i]: larger than every row before it

The last pixel that won takes the gradient, dwide first and dx then:

    for j = KW - 1 .. 1:      dx[s v + j] += dy won[j]        dy <- dy - dy won[j]
    dx[s v] += dy

Of equal pixels that is the first one of the first row that has it: the first in reading order, as
in the lesson. In evaluation nothing is noted.

Images come as they are, (N, H, W, C), or sorted by phase (:mod:`minidann.fast.phases`), where every
comparison is of long runs. Threads share the images, a few at a time, which stay in the processor's
cache. The border is no array of -infinity: where a window reaches into it, there is no comparison.

MEASURED
"""

from typing import NamedTuple

import numpy as np

from minidann.fast.phases import image_shape
from minidann.runtime.arrays import Array, array_module
from minidann.runtime.threads import cache_blocks, parallel_map

BLOCK_BYTES = 1 << 20  # of input, worked on at a time


class MaxPool2D:
    """The twin of :class:`minidann.nn.MaxPool2D`."""

    def forward(self, x: Array, train: bool = False) -> Array:
        xp = array_module(x)
        self._shape, self._x = x.shape, None if train else x
        n, h, w, c = image_shape(x.shape)
        vertical, horizontal = self.border(np.empty((0, h, w, 0)))
        sort = x.ndim == 6
        self._down = down = Taps.along(-3, h, self.window[0], self.stride[0], vertical, sort)
        self._across = across = Taps.along(-2, w, self.window[1], self.stride[1], horizontal, sort)
        y = xp.empty((n, down.count, across.count, c), x.dtype)
        wide = (*x.shape[1 : -3 if sort else -2], across.count, c)  # of one image
        self._won = None
        if train:
            self._won = (
                xp.empty((n, len(across.taps) - 1, *wide), bool),
                xp.empty((n, len(down.taps) - 1, *y.shape[1:]), bool),
            )

        def work(images):
            best = xp.empty((len(x[images]), *wide), x.dtype)
            won_across, won_down = (won[images] for won in self._won or (y, y))
            highest(x[images], across, best, won_across if train else None)
            highest(best, down, y[images], won_down if train else None)

        parallel_map(work, image_blocks(x))
        return y

    def backward(self, dy: Array) -> Array:
        if self._won is None:
            MaxPool2D.forward(self, self._x, train=True)
        xp = array_module(dy)
        dx = xp.empty(self._shape, dy.dtype)
        won_across, won_down = self._won

        def work(images):
            dwide = xp.empty((len(dy[images]), *won_across.shape[2:]), dy.dtype)
            hand_on(dy[images], self._down, won_down[images], dwide)
            hand_on(dwide, self._across, won_across[images], dx[images])

        parallel_map(work, image_blocks(dx))
        return dx


class Tap(NamedTuple):
    """Pixel j of the windows along an axis: which windows have it in the image, and where it is there."""

    windows: tuple  # an index of what comes out
    pixels: tuple  # an index of the image


class Taps(NamedTuple):
    """All pixels of a window along an axis of an image.

    ``count`` windows. ``every``: whether the first tap lies in the image for all of them. ``once``:
    how many taps together meet every pixel of the image once, 0 if some are met by none.
    """

    taps: list
    count: int
    every: bool
    once: int

    @classmethod
    def along(cls, axis, length, window, stride, border, sort):
        """Of an axis of so many pixels, counted from the last; ``sort``: whether the pixels are sorted by phase."""
        before = border[0]
        count = (length + sum(border) - window) // stride + 1
        taps, last_needed = [], []
        rest = (slice(None),) * (-1 - axis)
        for j in range(window):
            # the window of index u has the pixel s u + j - before, if that is one of the image
            first, last = -((j - before) // stride), -((j - before - length) // stride)
            last_needed.append(last)
            first = max(0, first)
            last = max(first, min(count, last))
            phase, shift = (j - before) % stride, (j - before) // stride
            run = slice(first + shift, last + shift)
            if not sort:
                start = stride * run.start + phase
                run = slice(start, start + stride * (last - first), stride)
            pixels = (..., phase, run, *rest) if sort else (..., run, *rest)
            taps.append(Tap((..., slice(first, last), *rest), pixels))
        covers = stride <= window and max(last_needed[:stride]) <= count
        return cls(taps, count, before == 0, stride if covers else 0)


def highest(x: Array, across: Taps, best: Array, won: Array | None) -> None:
    """``best``: the largest pixel of each window; ``won[:, j - 1]``: whether j was larger than all before."""
    xp = array_module(x)
    (windows, pixels), *others = across.taps
    if not across.every:
        best[...] = -np.inf
    best[windows] = x[pixels]
    for j, (windows, pixels) in enumerate(others):
        largest, pixel = best[windows], x[pixels]
        if won is not None:
            if largest.shape != best.shape:
                won[:, j] = False
            xp.greater(pixel, largest, out=won[:, j][windows])
        xp.maximum(largest, pixel, out=largest)


def hand_on(dy: Array, taps: Taps, won: Array, dx: Array) -> None:
    """``dx``: to each pixel, the gradients of the windows that it won; the last one that won takes it."""
    if not taps.once:
        dx[...] = 0
    shares = []
    for j in range(len(taps.taps) - 1, 0, -1):
        share = dy * won[:, j - 1]
        dy = dy - share
        shares.append(share)
    for j, ((windows, pixels), share) in enumerate(zip(taps.taps, [dy, *reversed(shares)])):
        if j < taps.once:
            dx[pixels] = share[windows]
        else:
            dx[pixels] += share[windows]


def image_blocks(x: Array) -> list[slice]:
    """Slices over the batch: small ones on a CPU, for its cache; on a GPU, one."""
    if array_module(x) is not np:
        return [slice(0, len(x))]
    return cache_blocks(len(x), x[:1].nbytes, BLOCK_BYTES)
