"""Stored examples become network input when one predicts as they did when one trained.

Training may take the bytes of images and prepare each batch. Who then predicts on bytes that were
not prepared gets answers, and worse ones, without a word. So ``fit`` asks :func:`repeated` for what
``DANN.network_input`` applies to integers.
"""

from collections.abc import Callable

import numpy as np

from minidann.runtime.arrays import Array
from minidann.runtime.errors import InputError


def repeated(prepare: Callable | None, stored: Array) -> Callable:
    """What makes network input of integers, after training on ``stored`` through ``prepare``.

    That is ``prepare`` itself if it says that it is ``repeatable``: the same for the same example
    each time, as no augmentation is.
    """
    if prepare is None:
        return as_it_is if is_integer(stored) else unless_bytes
    return prepare if getattr(prepare, "repeatable", False) else cannot_repeat


def is_integer(x: Array) -> bool:
    """Whether examples can be as they are stored: network input that is prepared has fractions."""
    return x.dtype.kind in "iub"


def as_it_is(x: Array) -> Array:
    """After training on integers as they are."""
    return x


def unless_bytes(x: Array) -> Array:
    """After training on examples that were prepared before; integers may still be points."""
    if x.dtype == np.uint8:
        raise InputError(
            "the examples are uint8, as images are stored, but training took numbers with "
            "fractions; prepare them as those were prepared"
        )
    return x


def cannot_repeat(x: Array) -> Array:
    """After training through a function that may draw at random."""
    raise InputError(
        f"the examples are {x.dtype}, as they are stored, but training prepared them, by a "
        "function that may draw at random; prepare them likewise, without what is random"
    )
