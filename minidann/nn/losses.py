"""Losses: value and gradient together, from logits.

Softmax cross-entropy, for one of K classes. logits z (N, K), labels t (N,) in 0..K-1:

    p[n, k] = exp(z[n, k]) / sum_j exp(z[n, j])
    L = mean_n -log p[n, t[n]] = mean_n (log sum_j exp(z[n, j]) - z[n, t[n]])

    dL/dz[n, k] = (p[n, k] - [k = t[n]]) / N          "what was said minus what is true"

Binary cross-entropy, for yes or no. logits z, targets t in [0, 1], both (N,) or (N, 1):

    p = sigmoid(z)
    L = mean(-t log p - (1 - t) log(1 - p)) = mean(max(z, 0) - z t + log(1 + exp(-|z|)))
    dL/dz = (p - t) / N

Class balance, for examples whose labels are not known, but of which there are as many
in each of K classes. logits z (N, K), p as above:

    pbar[k] = mean_n p[n, k]
    L = -mean_k log(K pbar[k])            from equal shares to pbar: 0 if all are 1/K

    r[n, k] = p[n, k] / sum_m p[m, k]     the share of n in all that is said for k
    dL/dz[n, k] = (p[n, k] sum_j r[n, j] - r[n, k]) / K

Taking the probabilities first and their logarithm after would overflow, or meet log 0,
once a logit is large. The code never exponentiates a positive number: finite at z =
+-10,000.

``reduction="sum"`` leaves out the division by N, in value and gradient alike.

Source for the last: Arazo et al., *Pseudo-labeling and confirmation bias in deep
semi-supervised learning* (2020), their R_A.
"""

import math

import numpy as np

from minidann.nn.activations import sigmoid
from minidann.runtime.arrays import Array, array_module, check_array
from minidann.runtime.checks import check_labels, check_length, extremes


def softmax_cross_entropy(
    logits: Array,
    labels: Array,
    reduction: str = "mean",
    weights: Array | None = None,
) -> tuple[Array, Array]:
    """Cross-entropy of ``softmax(logits)`` against integer labels.

    Parameters
    ----------
    logits : array (N, K), K >= 2
    labels : integer array (N,)
        Each in 0..K-1. On a GPU they are not looked at one by one here, for that would
        wait at every step: :func:`minidann.train.fit` does it once, before the first.
    reduction : "mean" or "sum"
    weights : array (N,), optional
        What each example counts, by default 1; the mean is over N all the same.

    Returns
    -------
    loss : 0-d array
    dlogits : array (N, K)
        The gradient of ``loss`` with respect to ``logits``.

    Raises
    ------
    ValueError
        For K = 1, where the softmax is the constant 1, and for labels or weights that
        are not as above.
    """
    if type(logits) is not np.ndarray or logits.ndim != 2 or logits.shape[1] < 2:
        _check_logits(logits)
    check_labels(labels, *logits.shape)
    if weights is not None and weights.shape != (len(logits),):
        raise ValueError(
            f"the weights are of shape {weights.shape}; give ({len(logits)},), one for "
            "each example"
        )
    return unchecked_cross_entropy(logits, labels, reduction, weights)


def unchecked_cross_entropy(
    logits: Array, labels: Array, reduction: str, weights: Array | None = None
) -> tuple[Array, Array]:
    """The formula; DANN itself has made the labels of the domains, and need not ask."""
    xp = array_module(logits)
    rows = xp.arange(len(logits))
    # p stays the same; the largest logit is now 0
    shifted = logits - logits.max(axis=1, keepdims=True)
    exp = xp.exp(shifted)
    total = exp.sum(axis=1, keepdims=True)  # (N, 1)
    loss = xp.log(total[:, 0]) - shifted[rows, labels]  # (N,)
    dlogits = exp / total
    dlogits[rows, labels] -= 1
    if weights is not None:
        loss, dlogits = weights * loss, weights[:, None] * dlogits
    return _reduce(loss.sum(), dlogits, reduction)


def binary_cross_entropy(
    logits: Array, targets: Array, reduction: str = "mean"
) -> tuple[Array, Array]:
    """Cross-entropy of ``sigmoid(logits)`` against targets in [0, 1].

    Parameters
    ----------
    logits : array (N,) or (N, 1)
    targets : array (N,) or (N, 1)
    reduction : "mean" or "sum"

    Returns
    -------
    loss : 0-d array
    dlogits : array, shape of ``logits``

    Raises
    ------
    ValueError
        If there are not as many targets as logits (they would silently broadcast to N x
        N), or one of them is not in [0, 1]; the latter is looked at in main memory
        alone.
    """
    _check_targets(logits, targets)
    xp = array_module(logits)
    targets = targets.reshape(logits.shape).astype(logits.dtype)
    loss = xp.maximum(logits, 0) - logits * targets + xp.log1p(xp.exp(-abs(logits)))
    return _reduce(loss.sum(), sigmoid(logits) - targets, reduction)


def class_balance(logits: Array) -> tuple[Array, Array]:
    """How unequal the shares of the classes are in a batch of predictions.

    Parameters
    ----------
    logits : array (N, K)

    Returns
    -------
    loss : 0-d array
    dlogits : array (N, K)
        The gradient of ``loss`` with respect to ``logits``.
    """
    _check_logits(logits)
    xp = array_module(logits)
    n, k = logits.shape
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))  # (N, K)
    most = log_p.max(axis=0)
    r = xp.exp(log_p - most)
    total = r.sum(axis=0)  # (K,): times exp(most), N pbar
    r /= total
    loss = math.log(n / k) - (most + xp.log(total)).mean()
    return loss, (xp.exp(log_p) * r.sum(axis=1, keepdims=True) - r) / k


def _check_logits(logits: Array) -> None:
    """Refuse what is not (N, K) with K >= 2."""
    check_array(logits, "logits")
    if logits.ndim != 2:
        raise ValueError(f"logits are of shape {logits.shape}; they must be (N, K)")
    if logits.shape[1] < 2:
        raise ValueError(
            "a softmax over one unit is always 1; use two units, or "
            "binary_cross_entropy for one"
        )


def _check_targets(logits: Array, targets: Array) -> None:
    """Refuse targets that are not one number in [0, 1] for each logit."""
    for array, name in ((logits, "logits"), (targets, "targets")):
        check_array(array, name)
        if array.ndim != 1 and array.shape[1:] != (1,):
            raise ValueError(
                f"{name} are of shape {array.shape}; they must be (N,) or (N, 1)"
            )
    check_length(targets, len(logits), "targets", "logits")
    low, high = extremes(targets) if array_module(targets) is np else (0, 1)
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"the targets run from {low} to {high}; they must be from 0 to 1"
        )


def _reduce(loss: Array, dlogits: Array, reduction: str) -> tuple[Array, Array]:
    if reduction == "sum":
        return loss, dlogits
    if reduction != "mean":
        raise ValueError(f'reduction is {reduction!r}; it must be "mean" or "sum"')
    return loss / len(dlogits), dlogits / len(dlogits)


def softmax(logits: Array) -> Array:
    """p of the formulas above: (N, K), each row adds up to 1."""
    _check_logits(logits)
    xp = array_module(logits)
    exp = xp.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)
