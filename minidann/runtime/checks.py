"""What arrays must be: labels, the input of a layer, and the gradient that comes back to it.

Wrong ones need not fail by themselves. Labels (N, 1) pick N x N logits, -1 picks the last class,
and what is of another shape is often broadcast. The losses, DANN, ``fit`` and the metrics ask here
for labels, every layer for shapes.
"""

from typing import Any

import numpy as np

from minidann.runtime.arrays import Array, check_array, to_host
from minidann.runtime.errors import InputError

ROWS, IMAGES = ("N", "D"), ("N", "H", "W", "C")  # axes of a layer's input
BATCH, CHANNELS = ("N", "..."), ("N", "...", "C")  # "...": any number of them


def check_labels(labels: Array, n: int, classes: int, of: str = "rows of logits") -> None:
    """Refuse labels that are not n integers from 0 to ``classes`` - 1.

    Their range is looked at in main memory alone: to look, Python would wait for a GPU.

    Parameters
    ----------
    labels : any
    n, classes : int
    of : str
        What there are n of.

    Raises
    ------
    InputError
        With what they are, and what they must be.
    """
    if (  # a training step passes here twice, and Blobs' takes less than a tenth of a millisecond
        type(labels) is np.ndarray
        and labels.ndim == 1
        and labels.dtype.kind in "iu"
        and len(labels) == n > 0
        and labels.item(labels.argmin()) >= 0  # a third of the time of min and max
        and labels.item(labels.argmax()) < classes
    ):
        return
    check_integers(labels, "labels")
    check_length(labels, n, "labels", of)
    if isinstance(labels, np.ndarray):
        check_range(labels, classes)


def check_integers(array: Array, name: str, kinds: str = "iu") -> None:
    """Refuse what is not an array of integers with one axis; ``kinds`` are those of NumPy."""
    if type(array) is not np.ndarray:
        check_array(array, f"the {name}")
    if array.ndim != 1 or array.dtype.kind not in kinds:
        raise InputError(
            f"the {name} are an array of {array.dtype} of shape {array.shape}; they must be "
            f"integers of shape (N,), one for each example: {_as_integers(array, name)}"
        )


def _as_integers(array: Array, name: str) -> str:
    """What to write to get them."""
    if array.dtype.kind in "USO":
        return f"np.unique({name}, return_inverse=True)[1]"
    if 1 in array.shape:
        return f"{name}.ravel()"
    return f"{name}.argmax(axis=1)" if array.ndim == 2 else f"{name}.astype(int)"


def check_length(array: Array, n: int, name: str, of: str) -> None:
    """Refuse an array of another length than n, and one of none."""
    if len(array) != n:
        raise InputError(f"there are {n} {of} but {len(array)} {name}; each needs its own")
    if not n:
        raise InputError(f"there are no {of}; give at least one")


def check_range(labels: Array, classes: int) -> None:
    """Refuse labels that are not from 0 to ``classes`` - 1."""
    low, high = extremes(labels)
    if low < 0 or high >= classes:
        raise InputError(
            f"the labels run from {low} to {high}, but there are units for 0 to {classes - 1}; "
            "number the classes from 0, or widen the label head"
        )


def extremes(array: Array) -> tuple[Any, Any]:
    """The least and the largest number of an array, as Python's numbers."""
    return to_host(array.min()).item(), to_host(array.max()).item()


def one_line(layer: Any) -> str:
    """What a layer says of itself, for a message."""
    return " ".join(repr(layer).split())


def check_input(layer: Any, x: Array, axes: tuple[str, ...], last: int | None = None) -> None:
    """Refuse an input of another shape than a layer takes.

    Parameters
    ----------
    layer : Layer
    x : any
    axes : tuple of str
        What they are called, such as ``IMAGES``.
    last : int, optional
        How long the last of them must be.

    Raises
    ------
    ValueError
        With the layer, the shape that it takes and that of x.
    """
    if type(x) is not np.ndarray:
        check_array(x, f"the input of {one_line(layer)}")
    shape = x.shape
    fits = len(shape) == len(axes) or (len(shape) > 1 and "..." in axes)
    if fits and (last is None or shape[-1] == last):
        return
    names = axes if last is None else (*axes[:-1], str(last))
    before = last is not None and len(shape) == 4 and shape[1] == last
    raise ValueError(
        f"{one_line(layer)} takes an input of shape ({', '.join(names)}), not {shape}"
        + "; put the channels last by .transpose(0, 2, 3, 1)" * before
    )


def check_gradient(layer: Any, dy: Array) -> None:
    """Refuse a dL/dy before there is a y, or of another shape.

    Raises
    ------
    ValueError
        With the layer and both shapes.
    """
    if dy.shape == layer._y_shape:
        return
    if layer._y_shape:
        raise ValueError(
            f"backward of {one_line(layer)} takes dy of the shape of y, {layer._y_shape}, not "
            f"{dy.shape}"
        )
    if type(layer).forward.__module__.startswith("minidann."):  # a user's own keeps what it likes
        raise ValueError(f"backward of {one_line(layer)} follows forward; call that first")
