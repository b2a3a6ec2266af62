"""Convolution through the Fourier transform: a quarter or less of the multiplications.

A convolution multiplies every pixel by every weight. Its Fourier transform takes one product for
each frequency (the convolution theorem). For the cross-correlation that networks use, circular over
n points,

    y[u] = sum_i x[(u + i) mod n] w[i]          Y[k] = X[k] conj(W[k])

    X[k] = sum_u x[u] exp(-2 pi i k u / n)

Over channels, the product is a matrix product for each frequency, of (N, C) by (C, M): a Dense
layer for each frequency. The circle has to hold the image and only the wider one of its two
borders: where it wraps around, zeros of one border stand for zeros of the other.

None of this needs complex numbers. Write a row of X as [Re | Im], (N, 2C). Then, because

    (Xr + i Xi) (Wr - i Wi) = (Xr Wr + Xi Wi) + i (Xi Wr - Xr Wi)

Y = X B with a real matrix of blocks

    B = [[ Wr, -Wi],
         [ Wi,  Wr]]         (2C, 2M)

and the transform itself is a product with a real matrix F of cosines and sines. Its inverse is F^T,
but for a factor s[k] of each frequency, which goes into W. So the layer is a chain of linear maps,
and backward is the same chain transposed:

    forward      X = F x         W = s F w         Y = X B           y = F^T Y
    backward    dY = F dy       dX = dY B^T       dB = X^T dY       dx = F^T dX

    dw = F^T s dW, with dW = dB folded back: [dB11 + dB22, dB21 - dB12]

The bias has frequency 0 alone, whose row of F is all ones: Y[0] + b is y + b, and db = sum_n dY[0].

Shapes: x (N, H, W, C)   w (KH, KW, C, M)   y (N, OH, OW, M)   X (N, f, 2C)   B (f, 2C, 2M)
Y (N, f, 2M). There are f frequencies, about half as many as points of the circle: x is real, so
X[-k] is the conjugate of X[k], and only one of the two is kept. s counts it twice.

Threads share the images in the transforms and the frequencies in the products. B is made for a few
frequencies at a time, meets all images while it is in the cache, and is not kept.

Measured on one core (Zen 5), forward and backward in ms, beside the lesson, windows, and
frequencies without two of these thoughts: both borders on the circle (18 points instead of 16 for
14 pixels), and B of all frequencies in memory, where a quarter of the images meets it at a time:

    kernels of 5 x 5                             lesson   windows   without   here
    64 images of 14 x 14, 32 to 48 channels          32        20       6.0    4.4
    128 images of 16 x 16, 64 to 64 channels        200                  39     25
    128 images of 8 x 8, 64 to 128 channels                              25     13

Source: Mathieu, Henaff & LeCun, Fast training of convolutional networks through FFTs (2014). They
use the fast algorithm; for the 20 or 30 pixels of a digit a product with F, which is what a
processor does best, is as fast, and backward is plain to see.
"""

from functools import cache

import numpy as np

from minidann.fast.borders import Border, Pair
from minidann.fast.products import small_or_whole
from minidann.runtime.threads import PIECES, cache_blocks, parallel_map, slices

IMAGES = 128  # transformed at a time: with more, Y and dX would only take memory
BLOCK_BYTES = 1 << 20  # of B, for the frequencies that are multiplied at a time


class FourierConvolution:
    """Cross-correlation of stride 1 and its gradients, through the frequencies.

    Parameters
    ----------
    image, kernel : (height, width), in pixels
    border : ((top, bottom), (left, right))
        Zeros around the image, in pixels.
    dtype : dtype
        The precision to work in: the highest of x, w and b.
    """

    def __init__(self, image: Pair, kernel: Pair, border: Border, dtype: np.dtype):
        size, out = circle(image, kernel, border)
        self._dtype = np.dtype(dtype)
        self._F_x = transform(size, (border[0][0], border[1][0]), image, self._dtype)
        self._F_y = transform(size, (0, 0), out, self._dtype)
        self._sF = kernel_transform(size, kernel, self._dtype)

    def forward(self, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
        """y (N, OH, OW, M) for x (N, H, W, C), w (KH, KW, C, M) and b (M,)."""
        self._w, self._x_dtype, m = w, x.dtype, len(b)
        y = np.empty((len(x), *self._F_y.shape, m), self._dtype)
        self._X = []
        for batch in batches(len(x)):
            X = self._F_x(x[batch])
            Y = self._products(X, w)
            Y[:, 0, :m] += b
            self._F_y.adjoint(Y, out=y[batch])
            self._X.append(X)
        return y

    def gradients(
        self, dy: np.ndarray, with_input: bool = True
    ) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
        """(dx, dw, db) for dy of the last forward; dx is None without ``with_input``."""
        w, m = self._w, dy.shape[3]
        dw, db = 0, 0
        shape = len(dy), *self._F_x.shape, w.shape[2]
        dx = np.empty(shape, np.result_type(dy, w)) if with_input else None
        for batch, X in zip(batches(len(dy)), self._X):
            dY = self._F_y(dy[batch])
            dw, db = dw + self._weight_gradient(X, dY), db + dY[:, 0, :m].sum(axis=0)
            if dx is not None:
                dX = self._products(dY, w.swapaxes(2, 3), transposed=True)
                self._F_x.adjoint(dX, out=dx[batch])
        dw = dw.astype(np.result_type(self._x_dtype, dy), copy=False)
        return dx, dw, db.astype(dy.dtype, copy=False)

    def _products(self, X, w, transposed=False):
        """Y = X B for each frequency, (N, f, 2C) -> (N, f, 2M); with B^T if ``transposed``."""
        c, m = w.shape[2:]
        w = np.ascontiguousarray(w, self._dtype).reshape(-1, c * m)  # (KH KW, C M)
        Y = np.empty((*X.shape[:2], 2 * m), self._dtype)
        runs = small_or_whole(len(X), 2 * c, 2 * m)

        def work(block):
            W = np.matmul(self._rows(block), w)  # (2 f, KH KW) @ (KH KW, C M)
            B = spread(W.reshape(-1, 2, c, m), transposed)
            for images in runs:
                np.matmul(by_frequency(X[images], block), B, out=by_frequency(Y[images], block))

        parallel_map(work, self._blocks(c, m))
        return Y

    def _weight_gradient(self, X, dY):
        """dw = F^T s fold(X^T dY): (N, f, 2C), (N, f, 2M) -> (KH, KW, C, M)."""
        c, m = X.shape[2] // 2, dY.shape[2] // 2

        def work(block):
            dB = np.matmul(by_frequency(X, block).swapaxes(1, 2), by_frequency(dY, block))
            return np.matmul(self._rows(block).T, fold(dB).reshape(-1, c * m))

        return sum(parallel_map(work, self._blocks(c, m))).reshape(self._w.shape)

    def _rows(self, block):
        """s F for kernels, of a block of frequencies: (2 f, KH KW)."""
        return self._sF[block].reshape(-1, self._sF.shape[2])

    def _blocks(self, c, m):
        """Slices of the frequencies whose matrices B take BLOCK_BYTES together."""
        return cache_blocks(len(self._sF), 4 * c * m * self._dtype.itemsize, BLOCK_BYTES)


def circle(image: Pair, kernel: Pair, border: Border) -> tuple[Pair, Pair]:
    """(points of the circle, pixels of the output), vertically and horizontally."""
    (h, w), (k_h, k_w), (vertical, horizontal) = image, kernel, border
    out_h, out_w = h + sum(vertical) - k_h + 1, w + sum(horizontal) - k_w + 1
    size = max(h + max(vertical), out_h), max(w + max(horizontal), out_w)
    return size, (out_h, out_w)


def batches(n: int) -> list[slice]:
    """n images in batches of at most IMAGES."""
    return slices(n, -(-n // IMAGES))


class Transform:
    """F: the discrete Fourier transform of images that fill part of a circle.

    Parameters
    ----------
    size : (n_h, n_w)
        Points of the circle, vertically and horizontally.
    start : (top, left)
        The points that pixel (0, 0) lies on.
    shape : (height, width)
        Of the images.
    dtype : dtype

    Attributes
    ----------
    frequencies : integer array (f, 2)
        Vertical and horizontal, as they follow one another in X.
    scale : array (f,)
        s, what F^T lacks to be the inverse: 2 / (n_h n_w), or half of that for a frequency that is
        its own conjugate.
    """

    def __init__(self, size: Pair, start: Pair, shape: Pair, dtype: np.dtype):
        (n_h, n_w), (height, width) = size, shape
        self.shape = shape
        down, along = np.arange(n_h // 2 + 1), horizontal_frequencies(n_w)
        vertical = 2 * np.pi / n_h * np.outer(down, start[0] + np.arange(height))  # (K, H)
        horizontal = 2 * np.pi / n_w * np.outer(along, start[1] + np.arange(width))  # (n_w, W)
        cos, sin = np.cos(horizontal), np.sin(horizontal)
        # real x:   [Re] = [ cos]       complex z:   [Re] = [ cos  sin] [Re z]
        #           [Im]   [-sin] x                  [Im]   [-sin  cos] [Im z]
        rows = np.stack([np.cos(vertical), -np.sin(vertical)], axis=1)
        columns = np.stack([np.hstack([cos, sin]), np.hstack([-sin, cos])], axis=1)
        self.rows = rows.reshape(-1, height).astype(dtype)  # (2K, H)
        self.columns = columns.reshape(2 * n_w, 2 * width).astype(dtype)
        self._keep_one_of_each_pair(size, down, along)

    def _keep_one_of_each_pair(self, size, down, along):
        """Of (k, l) and (-k, -l), whose X are conjugates, keep one.

        k runs from 0 to n / 2 only. So pairs are left where it is one of these two: of the l's the
        first are left out for k = 0, the last for k = n / 2.
        """
        n_k, n_l = len(down), len(along)
        spare = (n_l - 1) // 2
        first, rest = (slice(0, 1), slice(spare, n_l)), (slice(1, n_k), slice(0, n_l))
        kept = [first, rest]
        if size[0] % 2 == 0:
            last = slice(n_k - 1, n_k), slice(0, n_l - spare)
            kept = [first, (slice(1, n_k - 1), slice(0, n_l)), last]
        self._parts, stop, frequencies = [], 0, []
        for rows, columns in kept:
            grid = np.meshgrid(down[rows], along[columns], indexing="ij")
            frequencies.append(np.stack(grid, axis=2).reshape(-1, 2))
            start, stop = stop, stop + len(frequencies[-1])
            matrix = self.columns[2 * columns.start : 2 * columns.stop]
            self._parts.append((rows, matrix, slice(start, stop)))
        self.frequencies = np.concatenate(frequencies)
        single = (2 * self.frequencies % size == 0).all(axis=1)
        self.scale = (np.where(single, 1, 2) / np.prod(size)).astype(self.rows.dtype)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """X = F x: (N, H, W, C) -> (N, f, 2C)."""
        n, height, width, c = x.shape
        X = np.empty((n, len(self.scale), 2 * c), self.rows.dtype)

        def work(images):
            # down the columns of the images: (2K, H) @ (H, W C)
            z = np.matmul(self.rows, x[images].reshape(-1, height, width * c))
            z = z.reshape(len(z), -1, 2 * width, c)  # (N, K, [Re | Im] W, C)
            for rows, columns, part in self._parts:  # along their rows
                out = X[images, part].reshape(len(z), -1, len(columns), c)
                np.matmul(columns, z[:, rows], out=out)

        parallel_map(work, slices(n, min(n, PIECES)))
        return X

    def adjoint(self, X: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """F^T X: (N, f, 2C) -> (N, H, W, C), into ``out`` if given."""
        n, (height, width), c = len(X), self.shape, X.shape[2] // 2
        x = np.empty((n, height, width, c), X.dtype) if out is None else out

        def work(images):
            m = len(X[images])
            z = np.empty((m, len(self.rows) // 2, 2 * width, c), X.dtype)
            for rows, columns, part in self._parts:
                spectrum = X[images, part].reshape(m, -1, len(columns), c)
                np.matmul(columns.T, spectrum, out=z[:, rows])
            z = z.reshape(m, len(self.rows), width * c)
            np.matmul(self.rows.T, z, out=x[images].reshape(m, height, width * c))

        parallel_map(work, slices(n, min(n, PIECES)))
        return x


transform = cache(Transform)


def horizontal_frequencies(n: int) -> np.ndarray:
    """0, ..., n - 1 in such an order that those left out are the first, or the last, of them.

    First one of each pair l, -l; then 0 and, if n is even, n / 2; then the others of the pairs.
    """
    spare = (n - 1) // 2
    return np.r_[1 : spare + 1, 0, spare + 1 : n]


@cache
def kernel_transform(size: Pair, kernel: Pair, dtype: np.dtype) -> np.ndarray:
    """s F for kernels: (f, 2, KH KW). They have so few points that one matrix takes less."""
    F, points = transform(size, (0, 0), kernel, dtype), kernel[0] * kernel[1]
    unit = np.eye(points, dtype=dtype).reshape(points, *kernel, 1)
    columns = F(unit) * F.scale[:, None]  # (KH KW, f, 2)
    return np.ascontiguousarray(columns.transpose(1, 2, 0))


def by_frequency(X: np.ndarray, block: slice) -> np.ndarray:
    """(N, f, 2C) -> (f, N, 2C), of a block of frequencies."""
    return X[:, block].swapaxes(0, 1)


def spread(W: np.ndarray, transposed: bool = False) -> np.ndarray:
    """B: (f, 2, C, M) -> (f, 2C, 2M); if ``transposed``, B^T of a W with its channels exchanged."""
    f, _, c, m = W.shape
    B = np.empty((f, 2, c, 2, m), W.dtype)
    B[:, 0, :, 0] = B[:, 1, :, 1] = W[:, 0]
    plus, minus = (B[:, 0, :, 1], B[:, 1, :, 0]) if transposed else (B[:, 1, :, 0], B[:, 0, :, 1])
    plus[...] = W[:, 1]
    np.negative(W[:, 1], out=minus)
    return B.reshape(f, 2 * c, 2 * m)


def fold(dB: np.ndarray) -> np.ndarray:
    """The adjoint of ``spread``: (f, 2C, 2M) -> (f, 2, C, M)."""
    f, c, m = len(dB), dB.shape[1] // 2, dB.shape[2] // 2
    dB, dW = dB.reshape(f, 2, c, 2, m), np.empty((f, 2, c, m), dB.dtype)
    np.add(dB[:, 0, :, 0], dB[:, 1, :, 1], out=dW[:, 0])
    np.subtract(dB[:, 1, :, 0], dB[:, 0, :, 1], out=dW[:, 1])
    return dW


def pays(image: Pair, kernel: Pair, border: Border, c: int, m: int) -> bool:
    """Whether this takes less than half of the multiplications of a product over windows."""
    (n_h, n_w), (out_h, out_w) = circle(image, kernel, border)
    half = n_h // 2 + 1
    windows = out_h * out_w * kernel[0] * kernel[1] * c * m
    down = 2 * half * (c * image[0] * image[1] + m * out_h * out_w)
    along = 4 * half * n_w * (c * image[1] + m * out_w)
    return 2 * (down + along + 4 * half * n_w * c * m) < windows
