"""Max pooling: the largest pixel of each window of an image, channel by channel.

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
from typing import Any

import numpy as np

from minidann.nn import windows
from minidann.nn.layer import Layer
from minidann.nn.windows import Border, Pair
from minidann.runtime.arrays import Array, array_module
from minidann.runtime.checks import IMAGES, check_gradient, check_input
from minidann.runtime.twins import fast_twin


@fast_twin
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

    def __init__(
        self,
        pool_size: int | Pair,
        *,
        stride: int | Pair | None = None,
        padding: str | int = "valid",
    ):
        super().__init__()
        self.window = windows.pair(pool_size)
        self.stride = self.window if stride is None else windows.pair(stride)
        self.padding = padding
        if isinstance(padding, Integral) and padding >= min(self.window):
            raise ValueError(
                f"padding {padding} is not smaller than the window {self.window}: a "
                "window could lie in the border altogether"
            )

    def config(self) -> dict[str, Any]:
        stride = None if self.stride == self.window else windows.shortest(self.stride)
        window = windows.shortest(self.window)
        return {"pool_size": window, "stride": stride, "padding": self.padding}

    def border(self, x: Array) -> Border:
        """((top, bottom), (left, right)) pixels of -infinity that images x get."""
        check_input(self, x, IMAGES)
        return windows.border(self.padding, x.shape[1:3], self.window, self.stride)

    def forward(self, x: Array, train: bool = False) -> Array:
        self._border = self.border(x)
        padded = windows.pad(x, self._border, value=-np.inf)
        self._shape = padded.shape
        pixels = windows.pixels(padded, self.window, self.stride)
        pixels = array_module(x).stack(pixels)  # (KH KW, N, OH, OW, C)
        self._winner = pixels.argmax(axis=0)  # (N, OH, OW, C): the first, if several
        self._y_shape = self._winner.shape
        return pixels.max(axis=0)

    def backward(self, dy: Array) -> Array:
        check_gradient(self, dy)
        dpadded = array_module(dy).zeros(self._shape, dy.dtype)
        dpixels = windows.pixels(dpadded, self.window, self.stride)
        for k, dpixel in enumerate(dpixels):
            dpixel += dy * (self._winner == k)  # into dpadded: it is a view
        return windows.crop(dpadded, self._border)
