"""Max pooling: each window of an image is replaced by its largest pixel, channel by channel.

    y[n, u, v, c] = max_{i, j} x[n, s u + i, s v + j, c]        i < KH, j < KW

    x (N, H, W, C) with its border   y (N, OH, OW, C)   stride s

The maximum moves one for one with the pixel that attains it and not at all with the
others, so dy goes to that pixel. Windows may overlap (3/2): a pixel that wins in
several collects from each.

    dx[n, a, b, c] = sum of dy[n, u, v, c] over the windows (u, v) that (a, b) won

Ties: after a ReLU many windows are all zeros. Exactly one pixel, the first in reading
order, takes the gradient; if all of them did, the window would send back more than it
received. The border is -infinity, so that it never wins.
"""

from numbers import Integral

import numpy as np

from minidann.nn import windows
from minidann.nn.layer import Layer
from minidann.runtime.arrays import array_module, fused
from minidann.runtime.threads import cache_blocks, parallel_map


class MaxPool2D(Layer):
    """Maximum over windows of an (N, H, W, C) image.

    Parameters
    ----------
    pool_size : int or (int, int)
        (height, width) of a window, in pixels.
    stride : int or (int, int), optional
        How far the window moves; by default its own size, so that windows do not
        overlap.
    padding : "valid", "same" or int
        See :mod:`minidann.nn.windows`; an int must be smaller than the window, or a
        window could hold border only.
    """

    def __init__(self, pool_size, *, stride=None, padding="valid"):
        super().__init__()
        self.window = windows.pair(pool_size)
        self.stride = self.window if stride is None else windows.pair(stride)
        self.padding = padding
        if isinstance(padding, Integral) and padding >= min(self.window):
            raise ValueError(
                f"padding {padding} is not smaller than the window {self.window}: a window could lie in the border altogether"
            )

    def forward(self, x, train=False):
        xp = array_module(x)
        self._x, self._border = (
            x,
            windows.border(self.padding, x.shape[1:3], self.window, self.stride),
        )
        bordered = [n + sum(amounts) for n, amounts in zip(x.shape[1:3], self._border)]
        self._y = xp.empty(
            (len(x), *windows.count(bordered, self.window, self.stride), x.shape[3]),
            dtype=x.dtype,
        )

        def maximum(block):
            first, *rest = self._pixels(
                windows.pad(x[block], self._border, value=-np.inf)
            )
            y = self._y[block]
            y[...] = first
            for pixel in rest:
                xp.maximum(y, pixel, out=y)

        parallel_map(maximum, self._blocks())
        return self._y

    def backward(self, dy):
        xp = array_module(dy)
        dx = xp.empty(self._x.shape, dtype=dy.dtype)
        # where windows tile the image, every pixel lies in one of them and is written
        # once; else it collects from several, or none
        tiled = (
            self.stride == self.window
            and all(n % k == 0 for n, k in zip(dx.shape[1:3], self.window))
            and not any(map(any, self._border))
        )

        def scatter(block):
            padded = windows.pad(self._x[block], self._border, value=-np.inf)
            dpadded = dx[block] if tiled else xp.zeros(padded.shape, dtype=dy.dtype)
            unclaimed = xp.ones(
                dy[block].shape, dtype=bool
            )  # windows whose winner is still to be met
            for pixel, dpixel in zip(self._pixels(padded), self._pixels(dpadded)):
                won = claim(pixel, self._y[block], unclaimed)
                if tiled:
                    xp.multiply(dy[block], won, out=dpixel)
                else:
                    dpixel += dy[block] * won
            if not tiled:
                dx[block] = windows.crop(dpadded, self._border)

        parallel_map(scatter, self._blocks())
        return dx

    def _blocks(self):
        """Slices over the batch: small ones on a CPU, for its cache; on a GPU, one."""
        n = len(self._x)
        return (
            cache_blocks(n, self._x[:1].nbytes)
            if array_module(self._x) is np
            else [slice(0, n)]
        )

    def _pixels(self, image):
        """Pixel (i, j) of every window at once, for each (i, j): views of shape (N, OH, OW, C)."""
        out_h, out_w = windows.count(image.shape[1:3], self.window, self.stride)
        (step_h, step_w), (height, width) = self.stride, self.window
        for i in range(height):
            for j in range(width):
                yield image[
                    :, i : i + step_h * out_h : step_h, j : j + step_w * out_w : step_w
                ]


@fused
def claim(pixel, y, unclaimed):
    """Which windows this pixel wins: it is the maximum, and no pixel before it was. They are taken out of ``unclaimed``."""
    won = (pixel == y) & unclaimed
    unclaimed ^= won
    return won
