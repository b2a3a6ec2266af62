"""NaN and infinity among examples: named where they are, before a network spreads them."""

import math

import numpy as np

from minidann.runtime.arrays import Array, to_host
from minidann.runtime.errors import InputError

NAMED = 5  # columns or examples in a message


def require_finite(x: Array, name: str = "x") -> None:
    """Refuse examples that hold NaN or infinity.

    On a GPU this waits once.

    Parameters
    ----------
    x : array (N, ...)
        Integers are finite and are not looked at.
    name : str
        What x is called in the message.

    Raises
    ------
    InputError
        Names the columns of a table (N, D), else the examples.
    """
    if x.dtype.kind != "f":
        return
    with np.errstate(all="ignore"):
        if math.isfinite(float(x.sum())):  # it is not if one number is not, and takes no memory
            return
    finite = np.isfinite(to_host(x))
    if finite.all():  # the sum alone was too large
        return
    table = finite.ndim == 2
    wrong = np.flatnonzero(~finite.reshape(len(finite), -1).all(axis=1))
    places = np.flatnonzero(~finite.all(axis=0)) if table else wrong
    kind = "column" if table else "example"
    rows = f" in {len(wrong)} of {len(finite)} rows, row {wrong[0]} first" if table else ""
    raise InputError(
        f"{kind if len(places) == 1 else f'{kind}s'} {_listed(places)} of {name} "
        f"{'holds' if len(places) == 1 else 'hold'} NaN or infinity{rows}; fill in numbers, or "
        "leave these examples out"
    )


def _listed(places: np.ndarray) -> str:
    """The first of them, and how many more there are."""
    more = len(places) - NAMED
    return ", ".join(map(str, places[:NAMED])) + (f" and {more} more" if more > 0 else "")
