"""Functions of one number each, applied to every element, and Flatten.

    ReLU      y = max(x, 0)             dy/dx = 1 where x > 0, else 0
                                        dx = dy * [x > 0]

    Sigmoid   y = 1 / (1 + exp(-x))     dy/dx = y (1 - y)
                                        dx = dy * y * (1 - y)

    Flatten   (N, H, W, C) -> (N, H W C), a change of shape only
                                        dx = dy in the shape of x

Shapes are free: y, dx and dy have the shape of x (but for Flatten). At exactly x = 0
the ReLU has no derivative; like everyone we take 0 there.
"""

import math

from minidann.nn.layer import Layer
from minidann.runtime.arrays import Array, array_module, fused
from minidann.runtime.checks import BATCH, check_gradient, check_input


class ReLU(Layer):
    """Rectified linear unit, y = max(x, 0)."""

    def forward(self, x: Array, train: bool = False) -> Array:
        self._positive = x > 0
        self._y_shape = x.shape
        return array_module(x).maximum(x, 0)

    def backward(self, dy: Array) -> Array:
        check_gradient(self, dy)
        return dy * self._positive


class Sigmoid(Layer):
    """Logistic function, y = 1 / (1 + exp(-x))."""

    def forward(self, x: Array, train: bool = False) -> Array:
        self._y, self._y_shape = sigmoid(x), x.shape
        return self._y

    def backward(self, dy: Array) -> Array:
        check_gradient(self, dy)
        return dy * self._y * (1 - self._y)


@fused
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written with tanh: it saturates where exp would overflow."""
    return 0.5 * (1 + array_module(x).tanh(0.5 * x))


class Flatten(Layer):
    """(N, ...) to (N, product of the rest), in C order."""

    def forward(self, x: Array, train: bool = False) -> Array:
        check_input(self, x, BATCH)
        self._shape, self._y_shape = x.shape, (len(x), math.prod(x.shape[1:]))
        return x.reshape(self._y_shape)

    def backward(self, dy: Array) -> Array:
        check_gradient(self, dy)
        return dy.reshape(self._shape)
