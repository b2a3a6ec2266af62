"""Batch normalisation: every channel of the batch is brought to mean 0 and variance 1.

    mu = mean(x)     var = mean((x - mu)^2)     over all axes but the channel: m values each
    xhat = (x - mu) / sigma                     sigma = sqrt(var + epsilon)
    y = gamma xhat + beta                       gamma, beta (C,)

    x, xhat, y (N, C) or (N, H, W, C)           m = N or N H W

Backward, per channel. gamma and beta act like a Dense layer of one weight:

    dgamma = sum(dy xhat)        dbeta = sum(dy)        dxhat = gamma dy

x moves xhat in three ways: directly, through mu and through sigma. With dmu/dx = 1/m and
dsigma/dx[k] = xhat[k] / m, which follows from the definition of var,

    dxhat[j]/dx[k] = ([j = k] - 1/m - xhat[j] xhat[k] / m) / sigma
    dx = (dxhat - mean(dxhat) - xhat mean(dxhat xhat)) / sigma

that is: dy loses its mean and its part along xhat, since no output can shift or stretch the batch.

In evaluation mu and var are the running ones, constants: then dx = gamma dy / sigma.

Two domains in one batch (``parts=2``): normalising the mixture by one mean lets the domains tell
themselves apart, for each still has a mean of its own afterwards. With ``parts=2`` the batch is two
stacked halves, source above target, and each is normalised by its own mu and var; gamma and beta
are shared. The running statistics are *joint*: the average over the parts of their mu and var, so
that evaluation needs no domain label. A domain whose own statistics lie far from that average is
evaluated a little off centre; that is the price.

Source: Ioffe & Szegedy, Batch Normalization (2015); the backward pass is their section 3, simplified.
"""

import numpy as np

from minidann.backend import array_module, fused
from minidann.nn.layer import Layer


class BatchNorm(Layer):
    """Normalise every channel over the batch.

    Parameters
    ----------
    channels : int
        Size of the last axis.
    parts : int
        The batch is this many equal stacked parts, each normalised by itself in training.
    momentum : float
        running = momentum running + (1 - momentum) batch, at every training step.
    epsilon : float
        Added to the variance, so that a constant channel does not divide by zero.

    Raises
    ------
    ValueError
        In training, if the batch does not divide into ``parts``.
    """

    def __init__(self, channels, *, parts=1, momentum=0.9, epsilon=1e-5):
        super().__init__()
        self.parts, self.momentum, self.epsilon = parts, momentum, epsilon
        self.params = {"gamma": np.ones(channels, np.float32), "beta": np.zeros(channels, np.float32)}
        self.state = {"mean": np.zeros(channels, np.float32), "var": np.ones(channels, np.float32)}

    def forward(self, x, train=False):
        self._train = train
        xp = array_module(x)
        if train:
            x_parts = self._split(x)
            mu = x_parts.mean(axis=1, keepdims=True)  # (P, 1, C)
            var = x_parts.var(axis=1, keepdims=True)
            self._update("mean", mu)
            self._update("var", var)
        else:
            x_parts, mu, var = x, self.state["mean"], self.state["var"]
        self._sigma = xp.sqrt(var + self.epsilon)
        xhat, y = normalize(x_parts, mu, self._sigma, self.params["gamma"], self.params["beta"])
        self._xhat = xhat.reshape(x.shape)
        return y.reshape(x.shape)

    def backward(self, dy):
        over = tuple(range(dy.ndim - 1))
        self.grads["gamma"] = (dy * self._xhat).sum(axis=over)
        self.grads["beta"] = dy.sum(axis=over)
        dxhat = self.params["gamma"] * dy
        if not self._train:
            return dxhat / self._sigma
        dxhat, xhat = self._split(dxhat), self._split(self._xhat)  # (P, m, C)
        shift = dxhat.mean(axis=1, keepdims=True)
        stretch = (dxhat * xhat).mean(axis=1, keepdims=True)
        return input_gradient(dxhat, xhat, shift, stretch, self._sigma).reshape(dy.shape)

    def _split(self, x):
        """(N, ..., C) -> (P, m, C): the parts, each with all its values of a channel in one axis."""
        if len(x) % self.parts:
            raise ValueError(f"a batch of {len(x)} does not divide into the {self.parts} equal parts of BatchNorm; use as many source as target examples")
        return x.reshape(self.parts, -1, x.shape[-1])

    def _update(self, name, batch_value):
        joint = batch_value.mean(axis=(0, 1))  # (C,)
        self.state[name] = (self.momentum * self.state[name] + (1 - self.momentum) * joint).astype(self.state[name].dtype)


@fused
def normalize(x, mu, sigma, gamma, beta):
    """(xhat, y) of the formulas above."""
    xhat = (x - mu) / sigma
    return xhat, gamma * xhat + beta


@fused
def input_gradient(dxhat, xhat, shift, stretch, sigma):
    """dx of the formulas above, from the two means."""
    return (dxhat - shift - xhat * stretch) / sigma
