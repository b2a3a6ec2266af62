"""Convolution over windows, block by block.

The lesson's matrix of windows (im2col) is KH KW times larger than the images. It goes through slow
memory twice, once when it is written and once when the product reads it. Here the windows of a few
images at a time are unfolded into one buffer that stays in the processor's cache and is used again
for every block, layer and step. Threads share the blocks, which are the same however many threads
there are. For the gradient of the weights the windows are unfolded once more.

A row of a window, KW C numbers, lies side by side in the image and in the matrix, and is copied as
one thing (``copy_runs``), which takes half of the time. The product takes a few rows at a time
(:mod:`minidann.fast.products`), which takes half of the time as well.

A column of ones stands beside the windows, and its weights are the biases. One product then gives y
with b, and another one dW with db:

    columns  = [im2col(x), 1]           (N OH OW, KH KW C + 1), of one block of images
    y        = columns [W; b]           (N OH OW, M)
    [dW; db] = columns^T dy             (KH KW C + 1, M), added up over the blocks

At stride 1, dx is again a convolution, of dy with the kernel turned by 180 degrees and its in and
out exchanged: put u = a - i into dx[n, a] = sum_{i, m} dy[n, a - i, m] W[i, c, m]. It reads where
col2im adds to memory, which is the faster of the two.

On a GPU, which has no such cache but thousands of threads to feed, the block is the whole batch, if
its windows take at most GPU_BLOCK_BYTES.

Measured on one core (Zen 5): the first convolution of tf-dann's network takes 1.9 ms forward and
1.9 for dW, with blocks alone 2.6 and 2.7, and in the lesson 12 and 3.6.
"""

import threading
from math import prod

import numpy as np

from minidann.fast.borders import Border, Pair, copy_runs, crop, pad, window_views
from minidann.fast.products import matmul_by_rows, transposed_matmul_by_rows
from minidann.runtime.arrays import Array, array_module
from minidann.runtime.threads import cache_blocks, parallel_map

BLOCK_BYTES = 2 << 20  # windows unfolded at a time
GPU_BLOCK_BYTES = 1 << 30
_scratch = threading.local()


class WindowedConvolution:
    """Cross-correlation of any stride and its gradients, through windows.

    Parameters
    ----------
    stride : (vertical, horizontal), in pixels
    border : ((top, bottom), (left, right))
        Zeros around the image, in pixels.
    """

    def __init__(self, stride: Pair, border: Border):
        self._stride, self._border = stride, border

    def forward(self, x: Array, w: Array, b: Array) -> Array:
        """y (N, OH, OW, M) for x (N, H, W, C), w (KH, KW, C, M) and b (M,)."""
        self._w, self._padded = w, pad(x, self._border)
        return correlate(self._padded, w, self._stride, b)

    def gradients(self, dy: Array, with_input: bool = True) -> tuple[Array | None, Array, Array]:
        """(dx, dw, db) for dy of the last forward; dx is None without ``with_input``."""
        dw, db = self._parameter_gradients(dy)
        return self._input_gradient(dy) if with_input else None, dw, db

    def _parameter_gradients(self, dy: Array) -> tuple[Array, Array]:
        kernel, xp = self._w.shape[:2], array_module(dy)

        def product(block):
            columns = unfold(self._padded[block], kernel, self._stride)
            # (KH KW C + 1, N OH OW) @ (N OH OW, M)
            dy_rows = dy[block].reshape(-1, dy.shape[3])
            if xp is not np:
                return columns.T @ dy_rows
            return transposed_matmul_by_rows(columns, dy_rows)

        gradient = sum(parallel_map(product, window_blocks(dy, self._w)))
        return gradient[:-1].reshape(self._w.shape), gradient[-1].astype(dy.dtype, copy=False)

    def _input_gradient(self, dy: Array) -> Array:
        w = self._w
        # the border that dy needs so that the turned kernel visits every pixel of x and none of
        # x's own border
        (k_h, k_w), ((top, bottom), (left, right)) = w.shape[:2], self._border
        turned_border = (k_h - 1 - top, k_h - 1 - bottom), (k_w - 1 - left, k_w - 1 - right)
        if self._stride == (1, 1) and min(map(min, turned_border)) >= 0:
            turned = w[::-1, ::-1].transpose(0, 1, 3, 2)  # (KH, KW, M, C)
            zeros = array_module(w).zeros(w.shape[2], w.dtype)
            return correlate(pad(dy, turned_border), turned, (1, 1), zeros)
        dcolumns = dy.reshape(-1, w.shape[3]) @ w.reshape(-1, w.shape[3]).T  # (N OH OW, KH KW C)
        return crop(self._fold(dcolumns), self._border)

    def _fold(self, dcolumns: Array) -> Array:
        """col2im: (N OH OW, KH KW C) -> (N, H, W, C), each window added to where it came from."""
        kernel = self._w.shape[:2]
        image = array_module(dcolumns).zeros(self._padded.shape, dcolumns.dtype)
        views = window_views(image, kernel, self._stride)
        dcolumns = dcolumns.reshape(views.shape)
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                views[:, :, :, i, j] += dcolumns[:, :, :, i, j]
        return image


def correlate(padded: Array, w: Array, stride: Pair, b: Array) -> Array:
    """im2col and a matrix product, by blocks: (N, H, W, C) with its border -> (N, OH, OW, M)."""
    xp = array_module(padded)
    matrix = xp.concatenate([w.reshape(-1, w.shape[3]), b[None]])  # (KH KW C + 1, M)
    out = window_views(padded, w.shape[:2], stride).shape[:3]  # (N, OH, OW)
    y = xp.empty((*out, w.shape[3]), xp.result_type(padded, matrix))

    def product(block):
        columns = unfold(padded[block], w.shape[:2], stride)
        multiply = matmul_by_rows if xp is np else xp.matmul
        multiply(columns, matrix, out=y[block].reshape(-1, w.shape[3]))

    parallel_map(product, window_blocks(y, w))
    return y


def window_blocks(y: Array, w: Array) -> list[slice]:
    """Slices over the batch: the windows of each take at most BLOCK_BYTES, or GPU_BLOCK_BYTES."""
    image_bytes = prod(y.shape[1:3]) * prod(w.shape[:3]) * y.dtype.itemsize
    return cache_blocks(
        len(y), image_bytes, BLOCK_BYTES if array_module(y) is np else GPU_BLOCK_BYTES
    )


def unfold(padded: Array, kernel: Pair, stride: Pair) -> Array:
    """im2col and a column of ones, whose weights are the biases: (N OH OW, KH KW C + 1).

    It is written into this thread's buffer, made once and used again for every block, layer and
    step.
    """
    views = window_views(padded, kernel, stride)
    rows, columns = prod(views.shape[:3]), prod(views.shape[3:])
    unfolded = scratch(padded, rows * (columns + 1)).reshape(rows, columns + 1)
    rows_of_windows = (*views.shape[:4], -1)  # KW C numbers, side by side in the image as well
    copy_runs(views.reshape(rows_of_windows), unfolded[:, :columns].reshape(rows_of_windows))
    unfolded[:, columns] = 1
    return unfolded


def scratch(like: Array, size: int) -> Array:
    """Room for ``size`` numbers in this thread's buffer, of the device and dtype of ``like``."""
    buffer = getattr(_scratch, "buffer", None)
    if (
        buffer is None
        or buffer.size < size
        or type(buffer) is not type(like)
        or buffer.dtype != like.dtype
    ):
        buffer = _scratch.buffer = array_module(like).empty(size, dtype=like.dtype)
    return buffer[:size]
