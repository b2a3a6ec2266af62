"""The fast convolution: over windows or through the frequencies, whichever takes less.

It counts the multiplications and chooses for each shape of images anew:

    windows        N OH OW KH KW C M                any stride; see :mod:`minidann.fast.windowed`
    frequencies    a quarter or less of these       stride 1, many channels, large kernels; see
                                                    :mod:`minidann.fast.fourier`

Measured on one core, 64 images of tf-dann's network, forward and backward: the first convolution
(28 x 28 x 3, 32 kernels of 5 x 5) goes over windows, the second (14 x 14 x 32, 48 kernels) through
the frequencies. MEASURED
"""

import numpy as np

from minidann.fast import fourier
from minidann.fast.windowed import WindowedConvolution
from minidann.runtime.arrays import Array, array_module


class Conv2D:
    """The twin of :class:`minidann.nn.Conv2D`."""

    def forward(self, x: Array, train: bool = False) -> Array:
        W, b = self.params["W"], self.params["b"]
        self._convolution = choose(x, W, b, self.stride, self.border(x))
        return self._convolution.forward(x, W, b)

    def backward(self, dy: Array) -> Array:
        dx, self.grads["W"], self.grads["b"] = self._convolution.gradients(dy)
        return dx

    def parameter_gradients(self, dy: Array) -> None:
        _, self.grads["W"], self.grads["b"] = self._convolution.gradients(dy, with_input=False)


def choose(x, W, b, stride, border):
    """A FourierConvolution for x (N, H, W, C) if that is the faster way, else a WindowedConvolution.

    A GPU has products to spare and always takes the windows.
    """
    image, kernel = x.shape[1:3], W.shape[:2]
    if (
        array_module(x) is np
        and stride == (1, 1)
        and fourier.pays(image, kernel, border, *W.shape[2:])
    ):
        return fourier.FourierConvolution(image, kernel, border, np.result_type(x, W, b))
    return WindowedConvolution(stride, border)
