"""The fast convolution: over windows or through the frequencies, whichever takes less.

It counts the multiplications and chooses for each shape of images anew:

    windows        N OH OW KH KW C M                any stride; :mod:`minidann.fast.windowed`
    frequencies    often less than a fifth          stride 1, many channels, large kernels;
                                                    :mod:`minidann.fast.fourier`

Measured on one core (Zen 5), forward and backward, beside the lesson (kernels of 5 x 5, float32);
of the first layer, whose input needs no gradient, forward and dW:

    64 images of 28 x 28 x 3, 32 kernels            windows          4.1 ms     lesson 15
    64 images of 14 x 14 x 32, 48 kernels           frequencies      4.4        lesson 32
    128 images of 16 x 16 x 64, 64 kernels          frequencies       25        lesson 200
"""

from typing import Any

import numpy as np

from minidann.fast import fourier
from minidann.fast.borders import Border, Pair
from minidann.fast.fourier import FourierConvolution
from minidann.fast.windowed import WindowedConvolution
from minidann.runtime.arrays import Array, array_module
from minidann.runtime.checks import check_gradient


class Conv2D:
    """The twin of :class:`minidann.nn.Conv2D`."""

    def forward(self: Any, x: Array, train: bool = False) -> Array:
        W, b = self.params["W"], self.params["b"]
        self._convolution = choose(x, W, b, self.stride, self.border(x))
        y = self._convolution.forward(x, W, b)
        self._y_shape = y.shape
        return y

    def backward(self: Any, dy: Array) -> Array:
        check_gradient(self, dy)
        dx, self.grads["W"], self.grads["b"] = self._convolution.gradients(dy)
        return dx

    def parameter_gradients(self: Any, dy: Array) -> None:
        check_gradient(self, dy)
        _, self.grads["W"], self.grads["b"] = self._convolution.gradients(dy, with_input=False)


def choose(
    x: Array, W: Array, b: Array, stride: Pair, border: Border
) -> FourierConvolution | WindowedConvolution:
    """What to convolve x (N, H, W, C) by: frequencies if that is the faster way, else windows.

    A GPU has products to spare and always takes the windows.
    """
    image, kernel = x.shape[1:3], W.shape[:2]
    if (
        array_module(x) is np
        and stride == (1, 1)
        and fourier.pays(image, kernel, border, *W.shape[2:])
    ):
        return FourierConvolution(image, kernel, border, np.result_type(x, W, b))
    return WindowedConvolution(stride, border)
