"""Initial weights: small random numbers that keep signals alive through many layers.

An initializer is a function ``(rng, shape) -> (W, b)``: float32 weights of ``shape``,
which is (D, M) for Dense and (KH, KW, C, M) for Conv2D, and the (M,) biases that belong
to the recipe.

One output unit sums fan_in = D (or KH KW C) products. If the inputs have variance 1,
the sum has variance fan_in Var(W): to keep it near 1 through a stack, Var(W) must
shrink as 1 / fan_in.
"""

import math

import numpy as np

Weights = tuple[np.ndarray, np.ndarray]  # (W, b)


def truncated_normal(
    rng: np.random.Generator, shape: tuple, sigma: float = 0.1, bias: float = 0.1
) -> Weights:
    """Normal(0, sigma) cut at 2 sigma, constant biases: tf-dann's, whatever the fan-in.

    Drawn by inverting the distribution function: u uniform on [Phi(-2), Phi(2)], W =
    sigma Phi^-1(u).
    """
    from scipy.special import ndtr, ndtri  # nothing else in nn needs SciPy

    uniform = rng.uniform(ndtr(-2.0), ndtr(2.0), shape)
    return _pair(sigma * ndtri(uniform), bias)


def he_normal(rng: np.random.Generator, shape: tuple) -> Weights:
    """Normal with variance 2 / fan_in.

    A ReLU silences half of the units; the 2 makes up for it (He et al., 2015).
    """
    return _pair(rng.normal(0.0, math.sqrt(2 / _fan_in(shape)), shape), 0.0)


def glorot_uniform(rng: np.random.Generator, shape: tuple) -> Weights:
    """Uniform with variance 2 / (fan_in + fan_out).

    Keeps forward and backward signals alike (Glorot & Bengio, 2010).
    """
    fan_out = _fan_in(shape) // shape[-2] * shape[-1]
    limit = math.sqrt(6 / (_fan_in(shape) + fan_out))
    return _pair(rng.uniform(-limit, limit, shape), 0.0)


def _fan_in(shape: tuple) -> int:
    return math.prod(shape[:-1])


def _pair(W: np.ndarray, bias: float) -> Weights:
    return W.astype(np.float32), np.full(W.shape[-1], bias, dtype=np.float32)
