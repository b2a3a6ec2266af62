"""Batch normalisation: every channel of the batch is brought to mean 0 and variance 1.

    mu = mean(x)     var = mean((x - mu)^2)     of each channel, over its m values
    xhat = (x - mu) / sigma                     sigma = sqrt(var + epsilon)
    y = gamma xhat + beta                       gamma, beta (C,)

    x, xhat, y (N, C) or (N, H, W, C)           m = N or N H W

Backward, per channel. gamma and beta act like a Dense layer of one weight:

    dgamma = sum(dy xhat)        dbeta = sum(dy)        dxhat = gamma dy

x moves xhat in three ways: directly, through mu and through sigma. With dmu/dx = 1/m
and dsigma/dx[k] = xhat[k] / m, which follows from the definition of var,

    dxhat[j]/dx[k] = ([j = k] - 1/m - xhat[j] xhat[k] / m) / sigma
    dx = (dxhat - mean(dxhat) - xhat mean(dxhat xhat)) / sigma

that is: dxhat loses its mean and its part along xhat, since no output can shift or
stretch the batch.

In evaluation mu and var are the running ones, constants: then dx = dxhat / sigma.

Two domains in one batch (``domains=2``): normalising the mixture by one mean lets the
domains tell themselves apart, for each still has a mean of its own afterwards. With
``domains=2`` the batch is two stacked halves, source above target, and each is
normalised by its own mu and var; gamma and beta are shared. The running statistics are
*joint*: the average over the domains of their mu and var, so that evaluation needs no
domain label. The price: a domain whose own statistics lie far from that average is
evaluated off centre, and where little but the mean differs between the domains that can
undo what training achieved. ``adapt_batch_norm`` is the other choice: examples of one
domain, unlabelled, set the running statistics before that domain is evaluated.

Source: Ioffe & Szegedy, Batch Normalization (2015); the backward pass is their section
3, simplified. Li et al., Revisiting Batch Normalization for Practical Domain Adaptation
(2017), for the last (AdaBN).
"""

from copy import copy
from typing import Any

import numpy as np

from minidann.nn.layer import Layer
from minidann.runtime.arrays import Array, array_module
from minidann.runtime.checks import CHANNELS, check_gradient, check_input
from minidann.runtime.twins import fast_twin


@fast_twin
class BatchNorm(Layer):
    """Normalise every channel over the batch.

    Parameters
    ----------
    channels : int
        C, the size of the last axis.
    domains : int
        P: in training the batch is this many equal stacked parts, each normalised by
        itself.
    momentum : float
        running = momentum running + (1 - momentum) batch, at every training step.
    epsilon : float
        Added to the variance, so that a constant channel does not divide by zero.

    Raises
    ------
    ValueError
        In training, if the batch does not divide into ``domains``, or a channel has but
        one value in each.
    """

    def __init__(
        self,
        channels: int,
        *,
        domains: int = 1,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
    ):
        super().__init__()
        self.domains, self.momentum, self.epsilon = domains, momentum, epsilon
        zeros, ones = np.zeros(channels, np.float32), np.ones(channels, np.float32)
        self.params = {"gamma": ones, "beta": zeros}
        self.state = {"mean": zeros.copy(), "var": ones.copy()}

    def config(self) -> dict[str, Any]:
        return {"channels": self.params["gamma"].size, **super().config()}

    def forward(self, x: Array, train: bool = False) -> Array:
        self._train = train
        x_parts = self._split(x, train)  # (P, m, C)
        if train:
            mu = x_parts.mean(axis=1, keepdims=True)  # (P, 1, C)
            var = ((x_parts - mu) ** 2).mean(axis=1, keepdims=True)
            self._track(mu, var)
        else:
            mu, var = self.state["mean"], self.state["var"]  # (C,)
        self._sigma = array_module(x).sqrt(var + self.epsilon)
        self._xhat = (x_parts - mu) / self._sigma
        y = self.params["gamma"] * self._xhat + self.params["beta"]
        return y.reshape(x.shape)

    def backward(self, dy: Array) -> Array:
        check_gradient(self, dy)
        shape, xhat = dy.shape, self._xhat
        dy = dy.reshape(xhat.shape)  # (P, m, C)
        self.grads["gamma"] = (dy * xhat).sum(axis=(0, 1))
        self.grads["beta"] = dy.sum(axis=(0, 1))
        dx = dxhat = self.params["gamma"] * dy
        if self._train:
            mean, along = (a.mean(axis=1, keepdims=True) for a in (dxhat, dxhat * xhat))
            dx = dxhat - mean - xhat * along
        return (dx / self._sigma).reshape(shape)

    def _split(self, x: Array, train: bool) -> Array:
        """(N, ..., C) -> (P, m, C): in each part, m values of every channel."""
        check_input(self, x, CHANNELS, self.params["gamma"].size)
        parts = self.domains if train else 1
        if len(x) % parts:
            raise ValueError(
                f"a batch of {len(x)} does not divide into the {parts} equal parts of "
                "BatchNorm; use as many source as target examples"
            )
        self._y_shape = x.shape
        x_parts = x.reshape(parts, -1, x.shape[-1])
        if train and x_parts.shape[1] < 2:
            raise ValueError(
                "one value has no variance, and BatchNorm would return beta for any x; "
                "use at least two examples of each domain in training"
            )
        return x_parts

    def _track(self, mu: Array, var: Array) -> None:
        """Move the running statistics towards those of this batch."""
        for name, batch in (("mean", mu), ("var", var)):
            running, batch = self.state[name], batch.mean(axis=(0, 1))  # (C,)
            moved = self.momentum * running + (1 - self.momentum) * batch
            self.state[name] = moved.astype(running.dtype)


def adapt_batch_norm(network: Layer, x: Array, *heads: Layer) -> Array:
    """Make the running statistics of every BatchNorm in a network those of x.

    All of them or, if something stops it (Ctrl-C), none.

    Parameters
    ----------
    network : Layer
    x : array (N, ...)
        Examples of one domain, as the network takes them; some thousand of them.
    heads : Layer
        Networks that take the output of the first one; theirs are adapted too.

    Returns
    -------
    array
        The network's output for x, in evaluation.
    """
    found: list[tuple[BatchNorm, BatchNorm]] = []
    y = _adapted(network, x, found)
    for head in heads:
        _adapted(head, y, found)
    for layer, adapted in found:
        layer.state.update(adapted.state)
    return y


def _adapted(network, x, found):
    """The output for x, normalised by its own statistics; they are in the copies."""
    for layer in network.leaves():
        if not isinstance(layer, BatchNorm):
            x = layer.forward(x)
            continue
        adapted = copy(layer)
        adapted.state = dict(layer.state)
        adapted.domains, adapted.momentum = 1, 0.0  # one part, which replaces what was
        x = adapted.forward(x, train=True)
        found.append((layer, adapted))
    return x
