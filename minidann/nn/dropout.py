"""Dropout: in training, each unit is silenced with probability ``rate``.

    y = x mask / (1 - rate)         mask[...] = 1 with probability 1 - rate, else 0
    dx = dy mask / (1 - rate)       the same mask

Dividing by 1 - rate ("inverted" dropout) keeps the expected y equal to x, so evaluation
is y = x. With ``channels=True`` one draw decides for a whole channel of an image:
neighbouring pixels carry nearly the same number, so silencing them one by one silences
nothing.

Source: Srivastava et al., Dropout (JMLR 2014); channels: Tompson et al., Efficient
object localization using convolutional networks (2015).
"""

import numpy as np

from minidann.nn.layer import Layer
from minidann.runtime.arrays import Array, to_device_of
from minidann.runtime.checks import check_gradient


class Dropout(Layer):
    """Silence units at random in training; do nothing in evaluation.

    Parameters
    ----------
    rate : float
        Probability that a unit is silenced, 0 <= rate < 1.
    channels : bool
        Whether to drop whole channels of (N, H, W, C) images.
    rng : numpy.random.Generator
        Draws the masks, one per training forward, always on the host, so that a CPU and
        a GPU see the same masks.
    """

    def __init__(
        self, rate: float, *, channels: bool = False, rng: np.random.Generator
    ):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(
                f"the dropout rate is {rate}; it must be at least 0 and less than 1"
            )
        self.rate, self.channels, self.rng = float(rate), channels, rng

    def forward(self, x: Array, train: bool = False) -> Array:
        self._y_shape, self._mask = x.shape, self._draw(x) if train else None
        return x * self._mask if train else x

    def backward(self, dy: Array) -> Array:
        check_gradient(self, dy)
        return dy if self._mask is None else dy * self._mask

    def _draw(self, x: Array) -> Array:
        """mask / (1 - rate): (N, 1, ..., 1, C) for channels, else in the shape of x."""
        shape = (
            (len(x), *(1,) * (x.ndim - 2), x.shape[-1]) if self.channels else x.shape
        )
        keep = self.rng.random(shape, dtype=np.float32) >= self.rate
        mask = to_device_of(x, keep)  # it goes to a GPU as single bytes
        return mask.astype(x.dtype) / (1 - self.rate)
