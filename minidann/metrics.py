"""How well a trained DANN does, on both questions that it is asked: which class, which domain."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from minidann.runtime.arrays import Array, array_module, to_host
from minidann.runtime.checks import check_integers, check_length, check_range
from minidann.runtime.errors import InputError
from minidann.runtime.threads import on_all_cores

if TYPE_CHECKING:
    from minidann.dann import DANN

Prepare = Callable[[Array], Array]
UNKNOWN = -1  # the label of an example whose class is not known, as in scikit-learn


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
        Applied to each batch of x before the network sees it, so that images can stay bytes. By
        default integers are prepared as in training, see :meth:`minidann.dann.DANN.network_input`.
    batch_size : int
        Examples worked on at a time.

    Returns
    -------
    classes, domains : integer array (N,)
        In main memory.

    Raises
    ------
    InputError
        If x is no array, empty or not finite.
    """
    classes, domains = [], []
    for part in dann.parts(x, batch_size, prepare):
        f = dann.features.forward(part)
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
        and nowhere else. Labels that are not known are -1, or None for all of them.
    prepare, prepare_target : function, optional
        See :func:`predictions`. If only the first is given, it is for both domains.

    Returns
    -------
    dict of str to float
        ``source_class``, ``target_class``: share of classes predicted right among the examples
        whose label is known, absent if none is; ``source_domain``, ``target_domain``: share of
        examples recognised as source or target. If the domains cannot be told apart, these two
        average to one half.

    Raises
    ------
    InputError
        If labels are not (N,), not those of the label head's units, or -1 and 1: they look like two
        classes, of which -1 would not count.
    """
    result = {}
    of_source = ("source", *source, prepare)
    of_target = ("target", *target, prepare_target or prepare)
    for domain, (name, x, y, prepare_x) in enumerate((of_source, of_target)):
        prepare_x = prepare_x or partial(dann.network_input, domain=domain)
        classes, domains = predictions(dann, x, prepare_x)
        labels = np.full(len(classes), UNKNOWN) if y is None else to_host(y)
        if labels.shape != classes.shape:
            raise InputError(
                f"{name} has {len(classes)} examples, but its labels are an array of shape "
                f"{labels.shape}; give one for each"
            )
        if (known := is_known(labels)).any():
            result[f"{name}_class"] = accuracy(classes[known], labels[known])
            if dann.classes:
                check_range(labels[known], dann.classes)
        result[f"{name}_domain"] = accuracy(domains, domain)
    return result


def is_known(labels: np.ndarray) -> np.ndarray:
    """Which labels (N,) are those of classes: bool (N,).

    Raises
    ------
    InputError
        If they are -1 and 1.
    """
    known = labels != UNKNOWN
    if not known.all() and known.any() and (labels[known] == 1).all():
        raise InputError(
            "the labels are -1 and 1, but classes are numbered from 0, and -1 is a label that is "
            "not known; give (y > 0).astype(int), or leave out the examples without a label"
        )
    return known
