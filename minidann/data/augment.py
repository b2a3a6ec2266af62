"""Augmentation: images that were never taken, but might have been."""

from functools import cache
from types import ModuleType

import numpy as np

from minidann.runtime.arrays import Array, array_module, fused, to_device_of

KNOTS = 5  # of the elastic field along each axis


def random_warp(
    x: Array,
    rng: np.random.Generator,
    *,
    shift: float = 0.0,
    affine: float = 0.0,
    elastic: float = 0.0,
) -> Array:
    """Warp each image in its own way, as if it were on a sheet of rubber.

        y[n](p) = x[n](m + A[n] (p - m) + t[n] + u[n](p))

        p          (i, j), a pixel of y
        m          the middle of the image
        A[n]       identity + affine N(0, 1) in each of its four entries: scale, shear, rotation
        t[n]       uniform on -shift .. shift, down and right
        u[n](p)    elastic N(0, 1), down and right, at 5 x 5 knots; bilinear between them

    Places outside of the image repeat its border. Labels stay true as long as all three are small:
    a 6 that is turned far enough is a 9.

    Parameters
    ----------
    x : array (N, H, W, C)
    rng : numpy.random.Generator
        Draws A, t and u in main memory, so that a CPU and a GPU see the same images.
    shift, elastic : float
        In pixels.
    affine : float
        In pixels for each pixel of distance from the middle.

    Returns
    -------
    float32 array (N, H, W, C)

    Notes
    -----
    The affine part is that of French et al., *Self-ensembling for visual domain adaptation* (2018),
    where it is 0.1. The elastic part goes back to Simard et al., *Best practices for convolutional
    neural networks* (2003), who smooth a field of noise by a Gaussian instead.
    """
    n, *size, _ = x.shape
    a = np.eye(2) + affine * rng.standard_normal((n, 2, 2))
    t = rng.uniform(-shift, shift, (n, 2))
    u = elastic * rng.standard_normal((n, 2, KNOTS, KNOTS))
    a, t, u = (to_device_of(x, draw.astype(np.float32)) for draw in (a, t, u))
    tall, wide = (to_device_of(x, hats(KNOTS, length)) for length in size)
    u = tall @ u @ wide.T  # (N, 2, H, W)
    down, right = (  # (H,) (W,)
        to_device_of(x, np.arange(length, dtype=np.float32) - middle(length)) for length in size
    )
    a, t = a[..., None, None], t[..., None, None]
    rows, columns = (  # (N, H, W)
        a[:, k, 0] * down[:, None] + a[:, k, 1] * right + (t[:, k] + middle(size[k])) + u[:, k]
        for k in (0, 1)
    )
    return sample(x, rows, columns)


def cutout(x: Array, rng: np.random.Generator, *, side: float = 0.5, fill: float = 127.5) -> Array:
    """Lay a plain square on each image at a random place, so that no single stroke decides.

        y[n](p) = fill if max_k |p_k - m[n]_k| < s[n] / 2, else x[n](p)

        p          the middle of a pixel
        m[n]       the middle of the square, uniform over the image; part of it may lie outside
        s[n]       its side, uniform on 0 .. side

    Parameters
    ----------
    x : array (N, H, W, C)
    rng : numpy.random.Generator
        Draws m and s in main memory.
    side : float
        Side of the largest square, as a share of the image's height (down) and width (right).
    fill : float
        What the square is filled with: the middle grey of 0..255.

    Returns
    -------
    array (N, H, W, C)
        Of the same dtype as x.

    Notes
    -----
    DeVries and Taylor, *Improved regularization of convolutional neural networks with cutout*
    (2017), whose squares are all of one size. Those of Sohn et al., *FixMatch* (2020), are as here.
    """
    n, *size, _ = x.shape
    m = rng.uniform(size=(n, 2))
    reach = rng.uniform(0, side / 2, n)
    m, reach = (to_device_of(x, draw.astype(np.float32)) for draw in (m, reach))
    down, right = (  # (H,) (W,)
        to_device_of(x, (np.arange(length, dtype=np.float32) + 0.5) / length) for length in size
    )
    rows, columns = (  # (N, H) (N, W)
        abs(at - m[:, k, None]) < reach[:, None] for k, at in enumerate((down, right))
    )
    covered = rows[:, :, None, None] & columns[:, None, :, None]  # (N, H, W, 1)
    return array_module(x).where(covered, x.dtype.type(fill), x)


def random_negatives(x: Array, rng: np.random.Generator) -> Array:
    """Turn about half of the images into their negatives, 255 - x.

    Dark on light or light on dark then means nothing.

    Parameters
    ----------
    x : array (N, H, W, C)
        0..255.
    rng : numpy.random.Generator
        Draws in main memory which.

    Returns
    -------
    array (N, H, W, C)
        Of the dtype of x.
    """
    turned = to_device_of(x, rng.random((len(x), 1, 1, 1)) < 0.5)
    return array_module(x).where(turned, 255 - x, x)


def random_colours(x: Array, rng: np.random.Generator) -> Array:
    """Give each image's ink and paper colours of their own, so that no colour means anything.

        y[n](p)_c = a[n]_c + (b[n]_c - a[n]_c) x[n](p)_c / 255

        p          a pixel
        a[n], b[n] two colours, uniform on 0..255 in each channel c: what was black and white

    Half of each channel's images are turned into their negatives by it. It is made for images whose
    grey levels are all there is to see, such as MNIST's. It takes nothing from another domain: the
    colours are uniform.

    Parameters
    ----------
    x : array (N, H, W, C)
        0..255.
    rng : numpy.random.Generator
        Draws a and b in main memory.

    Returns
    -------
    float32 array (N, H, W, C)

    Notes
    -----
    A form of domain randomization (Tobin et al., *Domain randomization for transferring deep neural
    networks from simulation to the real world*, 2017).
    """
    a, b = (
        to_device_of(x, rng.uniform(0, 255, (len(x), 1, 1, x.shape[3])).astype(np.float32))
        for _ in range(2)
    )
    return between(a, b, x / np.float32(255))


def middle(length: int) -> np.float32:
    """The coordinate of the middle of a line of pixels."""
    return np.float32((length - 1) / 2)


@cache
def hats(knots: int, length: int) -> np.ndarray:
    """The matrix float32 (length, knots) that interpolates a line of a few values linearly.

    Each column is a hat function, highest at its knot.
    """
    at = np.linspace(0, knots - 1, length)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(knots))).astype(np.float32)


def sample(x: Array, rows: Array, columns: Array) -> Array:
    """The images at places between their pixels, by bilinear interpolation.

        y = (1-r) (1-c) x[i, j] + (1-r) c x[i, j+1] + r (1-c) x[i+1, j] + r c x[i+1, j+1]

        i + r = row, j + c = column, 0 <= r, c <= 1

    Parameters
    ----------
    x : array (N, H, W, C)
    rows, columns : float32 array (N, h, w)
        Where; places outside are moved to the border.

    Returns
    -------
    float32 array (N, h, w, C)
    """
    xp = array_module(x)
    n, height, width, channels = x.shape
    i, r = whole_and_part(xp, rows, height)
    j, c = whole_and_part(xp, columns, width)
    corner = (xp.arange(n)[:, None, None] * height + i) * width + j  # of x as a list of pixels
    pixels = x.reshape(-1, channels).astype(np.float32)
    upper, upper_right, lower, lower_right = (  # (N, h, w, C)
        pixels.take(corner + step, axis=0) for step in (0, 1, width, width + 1)
    )
    upper = between(upper, upper_right, c)
    lower = between(lower, lower_right, c)
    return between(upper, lower, r)


@fused
def between(a: Array, b: Array, share: Array) -> Array:
    """a + share (b - a)"""
    return a + share * (b - a)


def whole_and_part(xp: ModuleType, at: Array, length: int) -> tuple[Array, Array]:
    """Places along a line of pixels, split.

    Returns
    -------
    whole : int32 array (N, h, w)
        The pixel before each place, the last but one at most.
    part : array (N, h, w, 1)
        The rest of the way, 0..1.
    """
    at = xp.minimum(xp.maximum(at, 0), length - 1)
    whole = xp.minimum(at.astype(np.int32), length - 2)
    return whole, (at - whole.astype(at.dtype))[..., None]
