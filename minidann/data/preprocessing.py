"""Images as they are stored, bytes, to network input, float32.

joint or domain mean:     x -> (x - mean_c) / 255               mean_c of training images
each image's own mean:    x -> (x - mean_c) / sqrt(var + 1)     mean_c and var of that image
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidann.runtime.arrays import array_module, fused

Array = Any  # of numpy or cupy


@fused
def normalize(x: Array, mean: Array) -> Array:
    """uint8 (N, H, W, 3) -> float32, minus the mean of each channel, (3,), and divided by 255."""
    return (x - mean) / np.float32(255)


def standardize(x: Array) -> Array:
    """Give every image a mean of 0 in each channel and a variance of 1 over all of them.

    Brightness and contrast are then no longer a difference between two domains; "instance
    normalization" of the input in Shu et al., *A DIRT-T approach to unsupervised domain adaptation*
    (2018).

    Parameters
    ----------
    x : array (N, H, W, 3)
        0..255.

    Returns
    -------
    float32 array (N, H, W, 3)
    """
    x = x.astype(np.float32)
    x -= x.mean(axis=(1, 2), keepdims=True)
    variance = (x * x).mean(axis=(1, 2, 3), keepdims=True)
    x *= 1 / array_module(x).sqrt(variance + 1)  # + one grey level: an empty image has none
    return x


def preparation(mean: np.ndarray | None, transfer: Callable[[Array], Array]) -> Callable:
    """The function that makes network input of stored images.

    Parameters
    ----------
    mean : float32 array (3,) or None
        As in :class:`minidann.data.pairs.Domain`; None is each image's own.
    transfer : function
        Takes arrays to the device; see :func:`minidann.runtime.device.transfer_to`.
    """
    if mean is None:
        return lambda x: standardize(transfer(x))
    mean = transfer(mean)
    return lambda x: normalize(transfer(x), mean)
