"""Convolution of images (as everywhere in deep learning: cross-correlation).

    y[n, u, v, m] = b[m] + sum_{i, j, c} x[n, s u + i, s v + j, c] W[i, j, c, m]

    x (N, H, W, C) with its border      W (KH, KW, C, M)      b (M,)
    y (N, OH, OW, M)                    stride s

Write each window of the image as one row, KH KW C numbers long ("im2col"). Then the sum
over (i, j, c) is one matrix product, and the layer is a Dense layer on windows:

    columns = im2col(x)                 (N OH OW, KH KW C)
    y = columns W + b                   W seen as (KH KW C, M)

so its gradients are those of Dense, with one step more: windows overlap, a pixel lies
in several of them, and by the chain rule its gradient is the *sum* over all of them.
That sum, the adjoint of im2col, is "col2im":

    dW = columns^T dy        db = dy summed over N, OH, OW        dx = col2im(dy W^T)

What runs by default is the fast twin of this layer, :mod:`minidann.fast.convolution`,
for the matrix of windows is KH KW times larger than the image.

Source: Dumoulin & Visin, A guide to convolution arithmetic for deep learning (2016);
im2col: Chellapilla et al., High performance convolutional neural networks for document
processing (2006).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidann.nn import windows
from minidann.nn.initializers import he_normal
from minidann.nn.layer import Layer
from minidann.nn.windows import Border, Pair
from minidann.runtime.arrays import Array, array_module
from minidann.runtime.checks import IMAGES, check_gradient, check_input
from minidann.runtime.twins import fast_twin


@fast_twin
class Conv2D(Layer):
    """Convolution of (N, H, W, C) images with M kernels.

    Parameters
    ----------
    in_channels, out_channels : int
        C and M above.
    kernel_size, stride : int or (int, int)
        (height, width) in pixels.
    padding : "same", "valid" or int
        See :mod:`minidann.nn.windows`. The border is zeros.
    rng : numpy.random.Generator
        Draws the initial weights.
    init : function (rng, shape) -> (W, b)
        See :mod:`minidann.nn.initializers`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        *,
        stride: int | Pair = 1,
        padding: str | int = "same",
        rng: np.random.Generator,
        init: Callable = he_normal,
    ):
        super().__init__()
        self.kernel, self.stride = windows.pair(kernel_size), windows.pair(stride)
        self.padding = padding
        shape = (*self.kernel, in_channels, out_channels)
        self.params["W"], self.params["b"] = init(rng, shape)

    def config(self) -> dict[str, Any]:
        *kernel, in_channels, out_channels = self.params["W"].shape
        return {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "kernel_size": windows.shortest(kernel),
            "stride": windows.shortest(self.stride),
            "padding": self.padding,
        }

    def border(self, x: Array) -> Border:
        """((top, bottom), (left, right)) pixels of zeros that images x get."""
        check_input(self, x, IMAGES, self.params["W"].shape[2])
        return windows.border(self.padding, x.shape[1:3], self.kernel, self.stride)

    def forward(self, x: Array, train: bool = False) -> Array:
        W, b = self.params["W"], self.params["b"]
        self._border = self.border(x)
        padded = windows.pad(x, self._border)
        self._shape = padded.shape
        self._columns = im2col(padded, self.kernel, self.stride)  # (N OH OW, KH KW C)
        y = self._columns @ W.reshape(-1, W.shape[3]) + b  # (N OH OW, M)
        out = windows.count(self._shape[1:3], self.kernel, self.stride)
        self._y_shape = (len(x), *out, W.shape[3])
        return y.reshape(self._y_shape)

    def backward(self, dy: Array) -> Array:
        self.parameter_gradients(dy)
        W, M = self.params["W"], dy.shape[3]
        dcolumns = dy.reshape(-1, M) @ W.reshape(-1, M).T  # (N OH OW, KH KW C)
        dpadded = col2im(dcolumns, self._shape, self.kernel, self.stride)
        return windows.crop(dpadded, self._border)

    def parameter_gradients(self, dy: Array) -> None:
        check_gradient(self, dy)
        dy = dy.reshape(-1, dy.shape[3])  # (N OH OW, M)
        dW = self._columns.T @ dy  # (KH KW C, N OH OW) @ (N OH OW, M)
        self.grads["W"] = dW.reshape(self.params["W"].shape)
        self.grads["b"] = dy.sum(axis=0)


def im2col(padded: Array, kernel: Pair, stride: Pair) -> Array:
    """Every window of every image as one row: (N, H, W, C) -> (N OH OW, KH KW C).

    ``kernel`` and ``stride`` are (height, width) in pixels.
    """
    pixels = windows.pixels(padded, kernel, stride)  # KH KW views (N, OH, OW, C)
    shape = (*pixels[0].shape[:3], len(pixels), padded.shape[3])
    columns = array_module(padded).empty(shape, padded.dtype)
    for k, pixel in enumerate(pixels):
        columns[:, :, :, k] = pixel
    return columns.reshape(-1, shape[3] * shape[4])


def col2im(columns: Array, shape: tuple, kernel: Pair, stride: Pair) -> Array:
    """The adjoint of im2col: every row is added back to where its window came from.

    (N OH OW, KH KW C) -> ``shape`` = (N, H, W, C), the image with its border.
    """
    image = array_module(columns).zeros(shape, columns.dtype)
    pixels = windows.pixels(image, kernel, stride)
    columns = columns.reshape(*pixels[0].shape[:3], len(pixels), shape[3])
    for k, pixel in enumerate(pixels):
        pixel += columns[:, :, :, k]  # into the image: it is a view
    return image
