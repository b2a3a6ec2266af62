"""Convolution through the Fourier transform: a third of the multiplications, or fewer.

A convolution multiplies every pixel by every weight. Its Fourier transform takes one product for
each frequency (the convolution theorem). For the cross-correlation that networks use, circular over
n points,

    y[u] = sum_i x[(u + i) mod n] w[i]          Y[k] = X[k] conj(W[k])

    X[k] = sum_u x[u] exp(-2 pi i k u / n)

With n the size of the image with its border nothing wraps around. Over channels, the product is a
matrix product for each frequency, of (N, C) by (C, M): a Dense layer for each frequency.

None of this needs complex numbers. Write a row of X as [Re | Im], (N, 2C). Then, because

    (Xr + i Xi) (Wr - i Wi) = (Xr Wr + Xi Wi) + i (Xi Wr - Xr Wi)

Y = X B with a real matrix of blocks

    B = [[ Wr, -Wi],
         [ Wi,  Wr]]         (2C, 2M)

and the transform itself is a product with a real matrix F of cosines and sines. Its inverse is F^T,
but for a factor s[k] of each frequency, which goes into B. So the layer is a chain of linear maps,
and backward is the same chain transposed:

    forward      X = F x         B = s B(F w)         Y = X B           y = F^T Y
    backward    dY = F dy       dX = dY B^T          dB = X^T dY        dx = F^T dX

    dw = F^T (s dB, folded back to W)

The bias has frequency 0 alone, whose row of F is all ones: Y[0] + b is y + b, and db = sum_n dY[0].

Shapes: x (N, H, W, C)   w (KH, KW, C, M)   y (N, OH, OW, M)   X (N, f, 2C)   B (f, 2C, 2M)
Y (N, f, 2M). There are f = (n_h // 2 + 1) n_w frequencies: x is real, so the other half are
conjugates of these.

Measured on one core: the second convolution of tf-dann's network (64 images of 14 x 14 x 32, 48
kernels of 5 x 5) takes 13 ms forward and backward; the lesson, over windows, 54.

Source: Mathieu, Henaff & LeCun, Fast training of convolutional networks through FFTs (2014). They
use the fast algorithm; for the 20 or 30 pixels of a digit a product with F, which is what a
processor does best, is as fast, and backward is plain to see.
"""

from functools import cache

import numpy as np

from minidann.fast.borders import Border, Pair
from minidann.runtime.threads import PIECES, parallel_map, slices, thread_slices


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
        size = tuple(n + before + after for n, (before, after) in zip(image, border))
        out = tuple(n - k + 1 for n, k in zip(size, kernel))
        self._dtype = np.dtype(dtype)
        self._F_x = transform(size, (border[0][0], border[1][0]), image, dtype)
        self._F_w, self._F_y = (transform(size, (0, 0), shape, dtype) for shape in (kernel, out))

    def forward(self, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
        """y (N, OH, OW, M) for x (N, H, W, C), w (KH, KW, C, M) and b (M,)."""
        n, c, m = len(x), *w.shape[2:]
        self._x_dtype, self._w_dtype = x.dtype, w.dtype
        x, w = (array.astype(self._dtype, copy=False) for array in (x, w))
        self._B = spread(self._F_w(w.reshape(1, *w.shape[:2], c * m)), self._F_w.scale, c, m)
        self._X = np.empty((n, len(self._B), 2 * c), self._dtype)
        y = np.empty((n, *self._F_y.shape, m), self._dtype)

        def work(part):
            X = self._F_x(x[part], out=self._X[part])
            Y = np.empty((len(X), len(self._B), 2 * m), X.dtype)
            np.matmul(X.swapaxes(0, 1), self._B, out=Y.swapaxes(0, 1))
            Y[:, 0, :m] += b
            self._F_y.adjoint(Y, out=y[part])

        parallel_map(work, slices(n, min(n, PIECES)))
        return y

    def gradients(
        self, dy: np.ndarray, with_input: bool = True
    ) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
        """(dx, dw, db) for dy of the last forward; dx is None without ``with_input``."""
        n, (c, m) = len(dy), (self._X.shape[2] // 2, dy.shape[3])
        dy_dtype, dy = dy.dtype, dy.astype(self._dtype, copy=False)
        dY = np.empty((n, len(self._B), 2 * m), self._dtype)
        dx = None
        if with_input:
            dx = np.empty((n, *self._F_x.shape, c), np.result_type(dy_dtype, self._w_dtype))

        def work(part):
            self._F_y(dy[part], out=dY[part])
            if with_input:
                dX = np.empty_like(self._X[part])
                np.matmul(dY[part].swapaxes(0, 1), self._B.swapaxes(1, 2), out=dX.swapaxes(0, 1))
                self._F_x.adjoint(dX, out=dx[part])

        parallel_map(work, slices(n, min(n, PIECES)))
        dw = self._F_w.adjoint(fold(self._X, dY, self._F_w.scale))
        dw = dw.reshape(*self._F_w.shape, c, m)
        dw = dw.astype(np.result_type(self._x_dtype, dy_dtype), copy=False)
        return dx, dw, dY[:, 0, :m].sum(axis=0).astype(dy_dtype, copy=False)


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
    """

    def __init__(self, size: Pair, start: Pair, shape: Pair, dtype: np.dtype):
        (n_h, n_w), (height, width) = size, shape
        self.shape = shape
        # 2 pi k u / n: (K, H) and (n_w, W)
        k, u = np.arange(n_h // 2 + 1), start[0] + np.arange(height)
        vertical = 2 * np.pi / n_h * np.outer(k, u)
        k, u = np.arange(n_w), start[1] + np.arange(width)
        horizontal = 2 * np.pi / n_w * np.outer(k, u)
        cos, sin = np.cos(horizontal), np.sin(horizontal)
        # real x:              [Re] = [ cos]                  complex z: [Re] = [ cos  sin] [Re z]
        #                      [Im]   [-sin] x                           [Im]   [-sin  cos] [Im z]
        self.rows = (
            np.stack([np.cos(vertical), -np.sin(vertical)], axis=1)
            .reshape(-1, height)
            .astype(dtype)
        )  # (2K, H)
        self.columns = (
            np.stack([np.hstack([cos, sin]), np.hstack([-sin, cos])], axis=1)
            .reshape(2 * n_w, 2 * width)
            .astype(dtype)
        )
        # 1 / n for the inverse; twice for a frequency whose conjugate is left out
        weight = np.full(n_h // 2 + 1, 2.0)
        weight[0] = 1
        if n_h % 2 == 0:
            weight[-1] = 1
        self.scale = np.repeat(weight / (n_h * n_w), n_w).astype(dtype)  # (f,)

    def __call__(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """X = F x: (N, H, W, C) -> (N, f, 2C), into ``out`` if given."""
        n, height, width, c = x.shape
        half, double = len(self.rows) // 2, len(self.columns)  # K and 2 n_w
        out = np.empty((n, half * double // 2, 2 * c), x.dtype) if out is None else out
        # down the columns of the image, (N, 2K, W C), then along its rows
        z = np.matmul(self.rows, x.reshape(n, height, width * c))
        z = z.reshape(n, half, 2 * width, c)
        np.matmul(self.columns, z, out=out.reshape(n, half, double, c))
        return out

    def adjoint(self, X: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """F^T X: (N, f, 2C) -> (N, H, W, C), into ``out`` if given."""
        n, (height, width), c = len(X), self.shape, X.shape[2] // 2
        out = np.empty((n, height, width, c), X.dtype) if out is None else out
        X = X.reshape(n, len(self.rows) // 2, len(self.columns), c)
        z = np.matmul(self.columns.T, X).reshape(n, len(self.rows), width * c)  # (N, 2K, W C)
        np.matmul(self.rows.T, z, out=out.reshape(n, height, width * c))
        return out


transform = cache(Transform)


def spread(W: np.ndarray, scale: np.ndarray, c: int, m: int) -> np.ndarray:
    """B: (1, f, 2 C M) -> (f, 2C, 2M), each frequency times its scale."""
    W = W.reshape(-1, 2, c, m)
    B = np.empty((len(W), 2, c, 2, m), W.dtype)

    def fill(part):
        s = scale[part, None, None]
        np.multiply(W[part, 0], s, out=B[part, 0, :, 0])
        np.multiply(W[part, 1], s, out=B[part, 1, :, 0])
        np.negative(B[part, 1, :, 0], out=B[part, 0, :, 1])
        B[part, 1, :, 1] = B[part, 0, :, 0]

    parallel_map(fill, thread_slices(len(W)))
    return B.reshape(len(W), 2 * c, 2 * m)


def fold(X: np.ndarray, dY: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """dB = X^T dY for each frequency, and the adjoint of ``spread``: -> (1, f, 2 C M)."""
    f, c, m = X.shape[1], X.shape[2] // 2, dY.shape[2] // 2
    dW = np.empty((f, 2, c, m), X.dtype)

    def work(part):
        # for each frequency (2C, N) @ (N, 2M)
        dB = np.matmul(X[:, part].transpose(1, 2, 0), dY[:, part].swapaxes(0, 1))
        dB = dB.reshape(-1, 2, c, 2, m)
        np.add(dB[:, 0, :, 0], dB[:, 1, :, 1], out=dW[part, 0])
        np.subtract(dB[:, 1, :, 0], dB[:, 0, :, 1], out=dW[part, 1])
        dW[part] *= scale[part, None, None, None]

    parallel_map(work, thread_slices(f))
    return dW.reshape(1, f, 2 * c * m)


def pays(image: Pair, kernel: Pair, border: Border, c: int, m: int) -> bool:
    """Whether this takes less than half of the multiplications that windows take, for one image."""
    n_h, n_w = (n + before + after for n, (before, after) in zip(image, border))
    out_h, out_w = n_h - kernel[0] + 1, n_w - kernel[1] + 1
    half = n_h // 2 + 1
    windows = out_h * out_w * kernel[0] * kernel[1] * c * m
    transforms = (
        2
        * half
        * ((c * image[0] * image[1] + m * out_h * out_w) + 2 * n_w * (c * image[1] + m * out_w))
    )
    return 2 * (transforms + 4 * half * n_w * c * m) < windows
