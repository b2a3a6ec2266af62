"""Endless shuffled batches."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidann.runtime.arrays import array_module, check_array, to_device_of
from minidann.runtime.errors import InputError
from minidann.runtime.finite import require_finite
from minidann.runtime.state import (
    State,
    assign,
    check_state,
    generator_state,
    host_copy,
    set_generator_state,
)


class Batches:
    """Batches of examples, every example once an epoch, in an order drawn anew for each epoch.

    The epochs follow one another without a seam: a batch that reaches the end of one takes the rest
    from the next, so that no example is left out and every batch is full.

    Parameters
    ----------
    arrays : tuple of arrays
        Examples (N, ...) and, if known, labels (N,).
    size : int
        Examples in a batch.
    rng : numpy.random.Generator
        Draws the orders.
    prepare : function, optional
        Applied to the examples of each batch, so that images stay bytes until the last moment.
    transfer : function, optional
        Takes each batch to the device that trains on it (see
        :func:`minidann.runtime.device.transfer_to`), before ``prepare``. Arrays that live there
        altogether need no such function: their batches are drawn on the device, and a step copies
        nothing to it.

    Attributes
    ----------
    order : integer array (N,)
        The present epoch's.
    next : int
        Where in it the next batch begins.

    Raises
    ------
    InputError
        If one is no array (a Series of pandas would be indexed by its labels), they differ in
        length, a batch is larger than they are, or an example holds NaN or infinity.
    """

    def __init__(
        self,
        *arrays: Any,
        size: int,
        rng: np.random.Generator,
        prepare: Callable | None = None,
        transfer: Callable | None = None,
    ):
        for number, array in enumerate(arrays):
            check_array(array, f"array {number} of Batches")
        lengths = {len(array) for array in arrays}
        if len(lengths) > 1:
            found = ", ".join(str(len(array)) for array in arrays)
            raise InputError(
                f"the arrays of a data set differ in length: {found}; each example needs its label"
            )
        self.n = lengths.pop()
        if not 1 <= size <= self.n:
            raise InputError(
                f"a batch of {size} examples cannot be drawn from a data set of {self.n}; "
                f"choose a batch size from 1 to {self.n} for each domain"
            )
        require_finite(arrays[0], "the examples")
        self.arrays, self.size, self.rng = arrays, size, rng
        self.prepare, self.transfer = prepare, transfer
        self._draw_order()
        self.next = 0

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> tuple:
        """The next batch: one array for each of ``arrays``."""
        return self.at(self._rows())

    def state_dict(self) -> State:
        """Copies of the order, the place in it and the generator, in main memory."""
        return {
            "order": host_copy(self.order),
            "next": np.array(self.next),
            "rng": generator_state(self.rng),
        }

    def load_state_dict(self, state: State) -> None:
        """The inverse of ``state_dict``.

        Raises
        ------
        ValueError
            If names, shapes or dtypes are not those of ``state_dict()``, or ``order`` is not an
            order of the examples, or ``next`` not a place in it.
        """
        check_state(state, self.state_dict())
        if not np.array_equal(np.sort(state["order"]), np.arange(self.n)):
            raise ValueError(f"order does not hold each of 0 to {self.n - 1} once")
        if not 0 <= state["next"] < self.n:
            raise ValueError(f"next is {state['next']}; it must be from 0 to {self.n - 1}")
        set_generator_state(self.rng, state["rng"])
        assign(self.order, state["order"])
        self.next = int(state["next"])

    def at(self, rows: Any) -> tuple:
        """The batch that consists of these rows, an index array or a slice."""
        examples, *others = [
            self.transfer(array[rows]) if self.transfer else array[rows] for array in self.arrays
        ]
        return (self.prepare(examples) if self.prepare else examples, *others)

    def _rows(self) -> Any:
        stop = self.next + self.size
        rows = self.order[self.next : stop]
        self.next = stop
        if stop < self.n:
            return rows
        self._draw_order()
        self.next = stop - self.n
        return (
            rows
            if len(rows) == self.size
            else array_module(rows).concatenate([rows, self.order[: self.next]])
        )

    def _draw_order(self) -> None:
        """The order of an epoch.

        Drawn in main memory, so that a CPU and a GPU see the same batches; kept where the
        examples are.
        """
        self.order = to_device_of(self.arrays[0], self.rng.permutation(self.n))
