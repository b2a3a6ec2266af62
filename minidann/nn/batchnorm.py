"""Batch normalisation: every channel of the batch is brought to mean 0 and variance 1.

    mu = mean(x)     var = mean((x - mu)^2)     over all axes but the channel: m values each
    xhat = (x - mu) / sigma                     sigma = sqrt(var + epsilon)
    y = gamma xhat + beta                       gamma, beta (C,)

    x, xhat, y (N, C) or (N, H, W, C)           m = N or N H W

Backward, per channel. gamma and beta act like a Dense layer of one weight:

    dgamma = sum(dy xhat)        dbeta = sum(dy)        dxhat = gamma dy

x moves xhat in three ways: directly, through mu and through sigma. With dmu/dx = 1/m
and dsigma/dx[k] = xhat[k] / m, which follows from the definition of var,

    dxhat[j]/dx[k] = ([j = k] - 1/m - xhat[j] xhat[k] / m) / sigma
    dx = (dxhat - mean(dxhat) - xhat mean(dxhat xhat)) / sigma
       = gamma (dy - mean(dy) - xhat mean(dy xhat)) / sigma          mean(dy) = dbeta / m, mean(dy xhat) = dgamma / m

that is: dy loses its mean and its part along xhat, since no output can shift or stretch
the batch.

In evaluation mu and var are the running ones, constants: then dx = gamma dy / sigma.

Two domains in one batch (``domains=2``): normalising the mixture by one mean lets the
domains tell themselves apart, for each still has a mean of its own afterwards. With
``domains=2`` the batch is two stacked halves, source above target, and each is
normalised by its own mu and var; gamma and beta are shared. The running statistics are
*joint*: the average over the parts of their mu and var, so that evaluation needs no
domain label. The price: a domain whose own statistics lie far from that average is
evaluated off centre, and where little but the mean differs between the domains that can
undo what training achieved. ``adapt_batch_norm`` is the other choice: examples of one
domain, unlabelled, set the running statistics before that domain is evaluated.

Source: Ioffe & Szegedy, Batch Normalization (2015); the backward pass is their section
3, simplified. Li et al., Revisiting Batch Normalization for Practical Domain Adaptation
(2017), for the last (AdaBN).
"""

import numpy as np

from minidann.nn.layer import Layer
from minidann.runtime.arrays import array_module, fused
from minidann.runtime.threads import cache_blocks, parallel_map


class BatchNorm(Layer):
    """Normalise every channel over the batch.

    Parameters
    ----------
    channels : int
        Size of the last axis.
    domains : int
        The batch is this many equal stacked parts, each normalised by itself in
        training.
    momentum : float
        running = momentum running + (1 - momentum) batch, at every training step.
    epsilon : float
        Added to the variance, so that a constant channel does not divide by zero.

    Raises
    ------
    ValueError
        In training, if the batch does not divide into ``domains``.
    """

    def __init__(self, channels, *, domains=1, momentum=0.9, epsilon=1e-5):
        super().__init__()
        self.domains, self.momentum, self.epsilon = domains, momentum, epsilon
        self.params = {
            "gamma": np.ones(channels, np.float32),
            "beta": np.zeros(channels, np.float32),
        }
        self.state = {
            "mean": np.zeros(channels, np.float32),
            "var": np.ones(channels, np.float32),
        }

    def forward(self, x, train=False):
        self._train = train
        xp = array_module(x)
        x_parts = (
            self._split(x) if train else x.reshape(1, -1, x.shape[-1])
        )  # (P, m, C)
        if train:
            m = x_parts.shape[1]
            mu = total(identity, x_parts) / m  # (P, 1, C)
            var = total(squared_difference, x_parts, mu) / m
            self._update("mean", mu)
            self._update("var", var)
        else:
            mu, var = (self.state[name].reshape(1, 1, -1) for name in ("mean", "var"))
        self._per_sigma = 1 / xp.sqrt(var + self.epsilon)
        self._xhat = blockwise(normalize, x_parts, mu, self._per_sigma)
        return blockwise(
            scale_and_shift,
            self._xhat,
            self.params["gamma"].reshape(1, 1, -1),
            self.params["beta"].reshape(1, 1, -1),
        ).reshape(x.shape)

    def backward(self, dy):
        dy_parts = dy.reshape(self._xhat.shape)
        dbeta, dgamma = (
            total(identity, dy_parts),
            total(product, dy_parts, self._xhat),
        )  # (P, 1, C): of each part
        self.grads["gamma"], self.grads["beta"] = (
            dgamma.sum(axis=(0, 1)),
            dbeta.sum(axis=(0, 1)),
        )
        slope = self.params["gamma"] * self._per_sigma  # (P, 1, C)
        if not self._train:
            return (dy_parts * slope).reshape(dy.shape)
        m = dy_parts.shape[1]
        return blockwise(
            input_gradient, dy_parts, self._xhat, dbeta / m, dgamma / m, slope
        ).reshape(dy.shape)

    def _split(self, x):
        """(N, ..., C) -> (P, m, C): the parts, each with all its values of a channel in one axis."""
        if len(x) % self.domains:
            raise ValueError(
                f"a batch of {len(x)} does not divide into the {self.domains} equal parts of BatchNorm; use as many source as target examples"
            )
        return x.reshape(self.domains, -1, x.shape[-1])

    def _update(self, name, batch_value):
        joint = batch_value.mean(axis=(0, 1))  # (C,)
        self.state[name] = (
            self.momentum * self.state[name] + (1 - self.momentum) * joint
        ).astype(self.state[name].dtype)


def adapt_batch_norm(network, x):
    """Make the running statistics of every BatchNorm in a network those of the examples x.

    Parameters
    ----------
    network : Layer
    x : array (N, ...)
        Examples of one domain, as the network takes them; some thousand of them.

    Returns
    -------
    array
        The network's output for x, in evaluation.
    """
    for layer in network.leaves():
        if not isinstance(layer, BatchNorm):
            x = layer.forward(x)
            continue
        before, (layer.domains, layer.momentum) = (
            (layer.domains, layer.momentum),
            (1, 0.0),
        )  # one part, which replaces what was
        x = layer.forward(x, train=True)
        layer.domains, layer.momentum = before
    return x


def identity(x):
    """x"""
    return x


def product(x, y):
    """x y, element by element."""
    return x * y


@fused
def squared_difference(x, mu):
    """(x - mu)^2"""
    difference = x - mu
    return difference * difference


@fused
def normalize(x, mu, per_sigma):
    """xhat of the formulas above."""
    return (x - mu) * per_sigma


@fused
def scale_and_shift(xhat, gamma, beta):
    """y of the formulas above."""
    return gamma * xhat + beta


@fused
def input_gradient(dy, xhat, mean_dy, mean_dy_xhat, slope):
    """dx of the formulas above."""
    return slope * (dy - mean_dy - xhat * mean_dy_xhat)


def total(function, x, *others):
    """The sum over m of function(x, *others), for x (P, m, C) and others (P, m, C) or (P, 1, C): (P, 1, C)."""

    if array_module(x) is not np:
        return function(x, *others).sum(axis=1, keepdims=True)

    def work(rows):
        values = function(
            *(array[:, rows] if array.shape[1] > 1 else array for array in (x, *others))
        )
        return (
            np.ones((1, values.shape[1]), values.dtype) @ values
        )  # a sum over rows; as a product it takes a third of the time

    return sum(parallel_map(work, row_blocks(x)))


def blockwise(function, x, *others):
    """function(x, *others), element by element, for x (P, m, C) and others (P, m, C) or (P, 1, C): (P, m, C)."""
    if array_module(x) is not np:
        return function(x, *others)
    y = np.empty(x.shape, np.result_type(x, *others))

    def work(rows):
        y[:, rows] = function(
            *(array[:, rows] if array.shape[1] > 1 else array for array in (x, *others))
        )

    parallel_map(work, row_blocks(x))
    return y


def row_blocks(x):
    """Small slices of the m rows: what is computed from one stays in the cache."""
    p, m, c = x.shape
    return cache_blocks(m, p * c * x.itemsize, 1 << 18)
