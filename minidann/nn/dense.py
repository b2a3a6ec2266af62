"""Dense (fully connected) layer.

    y = x W + b                    x (N, D)   W (D, M)   b (M,)   y (N, M)

Write dy for dL/dy. Since y[n, m] = sum_d x[n, d] W[d, m] + b[m], the chain rule gives

    dL/dx[n, d] = sum_m dy[n, m] W[d, m]        dx = dy W^T
    dL/dW[d, m] = sum_n x[n, d] dy[n, m]        dW = x^T dy
    dL/db[m]    = sum_n dy[n, m]                db = dy summed over the batch

The shapes alone nearly dictate this: dW must be (D, M), and x^T dy is the only product
of the two that is. Source: the chain rule; e.g. Goodfellow et al., Deep Learning
(2016), section 6.5.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidann.nn.initializers import he_normal
from minidann.nn.layer import Layer
from minidann.runtime.arrays import Array
from minidann.runtime.checks import ROWS, check_gradient, check_input
from minidann.runtime.twins import fast_twin


@fast_twin
class Dense(Layer):
    """y = x W + b.

    Parameters
    ----------
    in_features, out_features : int
        D and M above.
    rng : numpy.random.Generator
        Draws the initial weights.
    init : function (rng, shape) -> (W, b)
        See :mod:`minidann.nn.initializers`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        rng: np.random.Generator,
        init: Callable = he_normal,
    ):
        super().__init__()
        self.params["W"], self.params["b"] = init(rng, (in_features, out_features))

    def config(self) -> dict[str, Any]:
        in_features, out_features = self.params["W"].shape
        return {"in_features": in_features, "out_features": out_features}

    def forward(self, x: Array, train: bool = False) -> Array:
        check_input(self, x, ROWS, len(self.params["W"]))
        self._x = x
        y = x @ self.params["W"] + self.params["b"]  # (N, D) @ (D, M)
        self._y_shape = y.shape
        return y

    def backward(self, dy: Array) -> Array:
        self.parameter_gradients(dy)
        return dy @ self.params["W"].T  # (N, M) @ (M, D)

    def parameter_gradients(self, dy: Array) -> None:
        check_gradient(self, dy)
        self.grads["W"] = self._x.T @ dy  # (D, N) @ (N, M)
        self.grads["b"] = dy.sum(axis=0)
