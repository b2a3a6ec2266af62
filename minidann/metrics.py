"""How well a trained DANN does, on both questions that it is asked: which class, which domain."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from minidann.runtime.arrays import Array, array_module, check_array, to_host
from minidann.runtime.checks import check_integers, check_length
from minidann.runtime.threads import on_all_cores

if TYPE_CHECKING:
    from minidann.dann import DANN

Prepare = Callable[[Array], Array]


def accuracy(predicted: Array, labels: Array | int) -> float:
    """Share of predictions that equal their labels, in 0..1.

    Parameters
    ----------
    predicted : integer or bool array (N,)
    labels : integer or bool array (N,), or one integer for all

    Raises
    ------
    InputError
        If they are not such arrays: (N,) and (N, 1) would be compared N x N.
    """
    check_integers(predicted, "predictions", "iub")
    if isinstance(labels, int | np.integer):
        check_length(predicted, len(predicted), "labels", "predictions")
    else:
        check_integers(labels, "labels", "iub")
        check_length(labels, len(predicted), "labels", "predictions")
    return float((predicted == labels).mean())


@on_all_cores
def predictions(
    dann: DANN, x: Array, prepare: Prepare | None = None, batch_size: int = 500
) -> tuple[np.ndarray, np.ndarray]:
    """The classes and the domains that a DANN predicts in evaluation mode.

    Parameters
    ----------
    dann : DANN
    x : array (N, ...)
    prepare : function, optional
        Applied to each batch of x before the network sees it, so that images can stay bytes.
    batch_size : int
        Examples worked on at a time.

    Returns
    -------
    classes, domains : integer array (N,)
        In main memory.

    Raises
    ------
    InputError
        If x is no array.
    """
    check_array(x, "x")
    classes, domains = [], []
    for start in range(0, len(x), batch_size):
        batch = x[start : start + batch_size]
        f = dann.features.forward(prepare(batch) if prepare else batch)
        classes.append(dann.label_head.forward(f).argmax(axis=1))
        domains.append(dann.domain_of(dann.domain_head.forward(f)))
    xp = array_module(classes[0])
    return to_host(xp.concatenate(classes)), to_host(xp.concatenate(domains))


def evaluate(
    dann: DANN,
    source: tuple[Array, Array],
    target: tuple[Array, Array],
    prepare: Prepare | None = None,
    prepare_target: Prepare | None = None,
) -> dict[str, float]:
    """The four accuracies of a DANN.

    Parameters
    ----------
    dann : DANN
    source, target : (x, y)
        Examples (N, ...) and class labels (N,) of each domain. Target labels serve here, to report,
        and nowhere else.
    prepare, prepare_target : function, optional
        See :func:`predictions`. If only the first is given, it is for both domains.

    Returns
    -------
    dict of str to float
        ``source_class``, ``target_class``: share of classes predicted right; ``source_domain``,
        ``target_domain``: share of examples recognised as source or target. If the domains cannot
        be told apart, these two average to one half.
    """
    result = {}
    of_source = ("source", *source, prepare)
    of_target = ("target", *target, prepare_target or prepare)
    for domain, (name, x, y, prepare_x) in enumerate((of_source, of_target)):
        classes, domains = predictions(dann, x, prepare_x)
        result[f"{name}_class"] = accuracy(classes, to_host(y))
        result[f"{name}_domain"] = accuracy(domains, domain)
    return result
