"""Convolution (as in all deep learning: cross-correlation) of images, as a matrix product.

    y[n, u, v, m] = b[m] + sum_{i, j, c} x[n, s u + i, s v + j, c] W[i, j, c, m]

    x (N, H, W, C) with its border   W (KH, KW, C, M)   b (M,)   y (N, OH, OW, M)   stride s

Write each window of the image as one row, KH KW C numbers long ("im2col"). Then the sum
over (i, j, c) is one matrix product, and the layer is a Dense layer on windows:

    columns = im2col(x)                 (N OH OW, KH KW C)
    y = columns W + b                   W seen as (KH KW C, M)

so its gradients are those of Dense, with one step more: windows overlap, a pixel lies
in several of them, and by the chain rule its gradient is the *sum* over all of them.
That sum, the adjoint of im2col, is "col2im":

    dW = columns^T dy        db = dy summed over N, OH, OW        dx = col2im(dy W^T)

At stride 1 the same dx is again a convolution, of dy with the kernel turned by 180
degrees and its in and out exchanged: put u = a - i into dx[n, a] = sum_{i, m} dy[n, a -
i, m] W[i, c, m]. It reads where col2im adds to memory, which is the faster of the two,
so it is what runs where it can.

The matrix of windows is KH KW times larger than the image. It is made a few images at a
time in one buffer that stays in the processor's cache, never for the whole batch, and
threads share the images. A column of ones stands beside the windows, whose weights are
the biases: one product then gives y with its bias, and dW with db.

With many channels and large kernels the same result takes far fewer multiplications
through the Fourier transform. That is another idea, and so another file, fourier.py;
the layer chooses by counting.

Source: Dumoulin & Visin, A guide to convolution arithmetic for deep learning (2016);
im2col: Chellapilla et al., High performance convolutional neural networks for document
processing (2006).
"""

import threading
from math import prod

import numpy as np

from minidann.fast import fourier
from minidann.nn import windows
from minidann.nn.initializers import he_normal
from minidann.nn.layer import Layer
from minidann.runtime.arrays import array_module
from minidann.runtime.threads import cache_blocks, parallel_map

BLOCK_BYTES = 4 << 20  # windows unfolded at a time
GPU_BLOCK_BYTES = (
    1 << 30
)  # a GPU has no such cache, but thousands of threads to feed: the whole batch, if its memory is not strained
_scratch = threading.local()


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
        in_channels,
        out_channels,
        kernel_size,
        *,
        stride=1,
        padding="same",
        rng,
        init=he_normal,
    ):
        super().__init__()
        self.kernel, self.stride, self.padding = (
            windows.pair(kernel_size),
            windows.pair(stride),
            padding,
        )
        self.params["W"], self.params["b"] = init(
            rng, (*self.kernel, in_channels, out_channels)
        )

    def forward(self, x, train=False):
        self._border = windows.border(
            self.padding, x.shape[1:3], self.kernel, self.stride
        )
        self._fourier = self._through_frequencies(x)
        if self._fourier:
            return self._fourier.forward(x, self.params["W"], self.params["b"])
        self._padded = windows.pad(x, self._border)
        return correlate(self._padded, self.params["W"], self.stride, self.params["b"])

    def backward(self, dy):
        if self._fourier:
            dx, self.grads["W"], self.grads["b"] = self._fourier.gradients(dy)
            return dx
        self.parameter_gradients(dy)
        W = self.params["W"]
        # the border that dy needs so that the turned kernel visits every pixel of x and
        # none of x's own border
        turned_border = [
            (k - 1 - before, k - 1 - after)
            for k, (before, after) in zip(self.kernel, self._border)
        ]
        if self.stride == (1, 1) and min(map(min, turned_border)) >= 0:
            turned = W[::-1, ::-1].transpose(0, 1, 3, 2)  # (KH, KW, M, C)
            return correlate(
                windows.pad(dy, turned_border),
                turned,
                (1, 1),
                array_module(W).zeros(W.shape[2], W.dtype),
            )
        dcolumns = (
            dy.reshape(-1, dy.shape[3]) @ W.reshape(-1, W.shape[3]).T
        )  # (N OH OW, KH KW C)
        return windows.crop(
            col2im(dcolumns, self._padded.shape, self.kernel, self.stride), self._border
        )

    def parameter_gradients(self, dy):
        if self._fourier:
            _, self.grads["W"], self.grads["b"] = self._fourier.gradients(
                dy, with_input=False
            )
            return
        W, xp = self.params["W"], array_module(dy)

        def product(block):
            columns = unfold(self._padded[block], self.kernel, self.stride)
            return xp.matmul(
                columns.T, dy[block].reshape(-1, dy.shape[3])
            )  # (KH KW C + 1, N OH OW) @ (N OH OW, M)

        gradient = sum(parallel_map(product, window_blocks(dy, W)))
        self.grads["W"], self.grads["b"] = gradient[:-1].reshape(W.shape), gradient[-1]

    def _through_frequencies(self, x):
        """A FourierConvolution if that is the faster way, else None."""
        W = self.params["W"]
        if (
            array_module(x) is not np
            or self.stride != (1, 1)
            or not fourier.pays(x.shape[1:3], self.kernel, self._border, *W.shape[2:])
        ):
            return None
        return fourier.FourierConvolution(
            x.shape[1:3], self.kernel, self._border, np.result_type(x, W)
        )


def correlate(padded, W, stride, b):
    """im2col and one matrix product, block by block: (N, H, W, C) with its border -> (N, OH, OW, M)."""
    xp = array_module(padded)
    out_h, out_w = windows.count(padded.shape[1:3], W.shape[:2], stride)
    y = xp.empty(
        (len(padded), out_h, out_w, W.shape[3]), dtype=xp.result_type(padded, W)
    )
    matrix = xp.concatenate([W.reshape(-1, W.shape[3]), b[None]])  # (KH KW C + 1, M)

    def product(block):
        xp.matmul(
            unfold(padded[block], W.shape[:2], stride),
            matrix,
            out=y[block].reshape(-1, W.shape[3]),
        )

    parallel_map(product, window_blocks(y, W))
    return y


def window_blocks(y, W):
    """Slices over the batch such that the windows of one of them take at most BLOCK_BYTES, or GPU_BLOCK_BYTES."""
    image_bytes = prod(y.shape[1:3]) * prod(W.shape[:3]) * y.dtype.itemsize
    return cache_blocks(
        len(y), image_bytes, BLOCK_BYTES if array_module(y) is np else GPU_BLOCK_BYTES
    )


def unfold(padded, kernel, stride):
    """im2col and a column of ones, whose weights are the biases: (N OH OW, KH KW C + 1).

    It is written into this thread's buffer, made once and used again for every block,
    layer and step.
    """
    rows, columns = (
        len(padded) * prod(windows.count(padded.shape[1:3], kernel, stride)),
        prod(kernel) * padded.shape[3],
    )
    size = rows * (columns + 1)
    buffer = getattr(_scratch, "buffer", None)
    if (
        buffer is None
        or buffer.size < size
        or type(buffer) is not type(padded)
        or buffer.dtype != padded.dtype
    ):
        buffer = _scratch.buffer = array_module(padded).empty(size, dtype=padded.dtype)
    unfolded = buffer[:size].reshape(rows, columns + 1)
    im2col(padded, kernel, stride, out=unfolded[:, :columns])
    unfolded[:, columns] = 1
    return unfolded


def im2col(padded, kernel, stride, out=None):
    """Every window of every image as one row.

    (N, H, W, C) -> (N OH OW, KH KW C), a copy, into ``out`` if given.
    ``kernel`` and ``stride`` are (height, width) in pixels.
    """
    xp = array_module(padded)
    n, h, w, c = padded.shape
    (out_h, out_w), (step_n, step_h, step_w, step_c) = (
        windows.count((h, w), kernel, stride),
        padded.strides,
    )
    # a view in which window (u, v) begins s u rows and s v pixels further on;
    # overlapping windows share memory
    shape, strides = (
        (n, out_h, out_w, *kernel, c),
        (step_n, stride[0] * step_h, stride[1] * step_w, step_h, step_w, step_c),
    )
    views = xp.lib.stride_tricks.as_strided(padded, shape=shape, strides=strides)
    if out is None:
        out = xp.empty((n * out_h * out_w, prod(kernel) * c), dtype=padded.dtype)
    xp.copyto(out.reshape(shape), views)
    return out


def col2im(columns, shape, kernel, stride):
    """The adjoint of im2col: every row is added back to where its window came from.

    (N OH OW, KH KW C) -> ``shape`` = (N, H, W, C), the image with its border.
    """
    out_h, out_w = windows.count(shape[1:3], kernel, stride)
    columns = columns.reshape(shape[0], out_h, out_w, *kernel, shape[3])
    image = array_module(columns).zeros(shape, dtype=columns.dtype)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            image[
                :,
                i : i + stride[0] * out_h : stride[0],
                j : j + stride[1] * out_w : stride[1],
            ] += columns[:, :, :, i, j]
    return image
