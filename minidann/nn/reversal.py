"""Gradient reversal: the one layer that makes DANN adversarial.

    forward     R(x) = x
    backward    dx = -lam dy

No function has this pair as value and derivative (Ganin et al., JMLR 17(59), 2016,
section 4.2, call it a pseudo-function). The domain head above descends its loss L_d;
the features below receive the gradient with its sign turned and so ascend it: they
learn what the domain head can not use.
"""

from minidann.nn.layer import Layer


class GradientReversal(Layer):
    """Identity forward, ``-lam`` times the gradient backward; ``lam`` (paper: lambda) may be set before each step."""

    def __init__(self, lam=1.0):
        super().__init__()
        self.lam = lam

    def forward(self, x, train=False):
        return x

    def backward(self, dy):
        return -self.lam * dy
