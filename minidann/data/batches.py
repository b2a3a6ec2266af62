"""Endless shuffled batches."""

from minidann.runtime.arrays import array_module, to_device_of
from minidann.runtime.errors import InputError


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
        altogether need no such thing: their batches are drawn on the device, and nothing goes up in
        a step.

    Attributes
    ----------
    order : integer array (N,)
        The present epoch's.
    next : int
        Where in it the next batch begins.

    Raises
    ------
    InputError
        If the arrays differ in length or a batch is larger than they are.
    """

    def __init__(self, *arrays, size, rng, prepare=None, transfer=None):
        lengths = {len(array) for array in arrays}
        if len(lengths) > 1:
            raise InputError(
                f"the arrays of a data set differ in length: {', '.join(str(len(array)) for array in arrays)}; each example needs its label"
            )
        self.n = lengths.pop()
        if not 1 <= size <= self.n:
            raise InputError(
                f"a batch of {size} examples can not be drawn from a data set of {self.n}; choose a batch size from 1 to {self.n} for each domain"
            )
        self.arrays, self.size, self.rng, self.prepare, self.transfer = (
            arrays,
            size,
            rng,
            prepare,
            transfer,
        )
        self._draw_order()
        self.next = 0

    def __iter__(self):
        return self

    def __next__(self):
        """The next batch: one array for each of ``arrays``."""
        return self.at(self._rows())

    def at(self, rows):
        """The batch that consists of these rows, an index array or a slice."""
        examples, *others = [
            self.transfer(array[rows]) if self.transfer else array[rows] for array in self.arrays
        ]
        return (self.prepare(examples) if self.prepare else examples, *others)

    def _rows(self):
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

    def _draw_order(self):
        """The order of an epoch: drawn on the host, so that a CPU and a GPU see the same batches, and kept beside the examples."""
        self.order = to_device_of(self.arrays[0], self.rng.permutation(self.n))
