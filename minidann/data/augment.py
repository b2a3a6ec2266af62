"""Augmentation: images that were never taken, but might have been."""

from minidann.backend import array_module, beside


def random_shift(x, pixels, rng):
    """Move each image by a whole number of pixels, down or up and right or left; what comes in repeats the border.

        y[n, i, j] = x[n, clip(i + a[n]), clip(j + b[n])]        a, b uniform on -pixels .. pixels, clip to the image

    Parameters
    ----------
    x : array (N, H, W, C)
    pixels : int
        The farthest that an image is moved along either axis.
    rng : numpy.random.Generator
        Draws a and b, on the host, so that a CPU and a GPU see the same images.

    Returns
    -------
    array (N, H, W, C)
    """
    xp = array_module(x)
    n, *size, _ = x.shape
    shifts = beside(x, rng.integers(-pixels, pixels + 1, (2, n, 1)))
    rows, columns = (xp.minimum(xp.maximum(xp.arange(size[axis]) + shifts[axis], 0), size[axis] - 1) for axis in (0, 1))  # (N, H) (N, W)
    return x[xp.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
