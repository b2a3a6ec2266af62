"""Gradient reversal: the one layer that makes DANN adversarial.

    forward     R(x) = x
    backward    dx = -lam dy

No function has this pair as value and derivative (Ganin et al., JMLR 17(59), 2016,
section 4.2, call it a pseudo-function). The domain head above descends its loss L_d;
the features below receive the gradient with its sign turned and so ascend it: they
learn what the domain head cannot use.
"""

from minidann.nn.layer import Layer
from minidann.runtime.arrays import Array


class GradientReversal(Layer):
    """Identity forward, ``-lam`` times the gradient backward.

    Parameters
    ----------
    lam : float
        The paper's lambda; may be set before each step.
    """

    def __init__(self, lam: float = 1.0):
        super().__init__()
        self.lam = lam

    def forward(self, x: Array, train: bool = False) -> Array:
        return x

    def backward(self, dy: Array) -> Array:
        return -self.lam * dy
