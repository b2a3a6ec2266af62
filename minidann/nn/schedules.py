"""How lambda and the learning rate move with the progress p of training.

p goes from 0 at the first step to 1 at the last.

    lambda(p) = 2 / (1 + exp(-gamma p)) - 1         0 at p = 0, .46 at .1, .99 at .5:
                                                    the domain head is noise at first,
                                                    and should not be listened to

    mu(p)     = base / (1 + alpha p)^beta           the learning rate; in the paper
                                                    mu_0 = .01, alpha = 10, beta = .75

    cosine(p) = base (1 + cos(pi q)) / 2            the learning rate, down to 0;
                                                    q from 0 at p = start to 1 at p = 1:
                                                    the rate is constant until start

Source: Ganin et al., JMLR 17(59), 2016, section 5.2.2; cosine: Loshchilov & Hutter,
SGDR (2017). All are plain Python floats, so that they never widen a float32 array.
"""

import math


def reversal_strength(p: float, gamma: float = 10.0) -> float:
    """The paper's lambda schedule, 0 <= p <= 1."""
    return 2 / (1 + math.exp(-gamma * p)) - 1


def learning_rate(
    p: float, base: float = 0.01, alpha: float = 10.0, beta: float = 0.75
) -> float:
    """The paper's learning-rate schedule, 0 <= p <= 1."""
    return base / (1 + alpha * p) ** beta


def cosine(p: float, base: float, start: float = 0.0) -> float:
    """Cosine annealing, ``base`` until p = start < 1, then down to 0 at p = 1."""
    q = max(0.0, p - start) / (1 - start)
    return base * (1 + math.cos(math.pi * q)) / 2
