"""Endless shuffled batches."""

import numpy as np

from minidann.errors import InputError


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

    Raises
    ------
    InputError
        If the arrays differ in length or a batch is larger than they are.
    """

    def __init__(self, *arrays, size, rng, prepare=None):
        lengths = {len(array) for array in arrays}
        if len(lengths) > 1:
            raise InputError(f"the arrays of a data set differ in length: {', '.join(str(len(array)) for array in arrays)}; each example needs its label")
        self.n = lengths.pop()
        if not 1 <= size <= self.n:
            raise InputError(f"a batch of {size} examples can not be drawn from a data set of {self.n}; choose a batch size from 1 to {self.n} for each domain")
        self.arrays, self.size, self.rng, self.prepare = arrays, size, rng, prepare
        self._order, self._next = rng.permutation(self.n), 0

    def __iter__(self):
        return self

    def __next__(self):
        """The next batch: one array for each of ``arrays``."""
        rows = self._rows()
        examples, *others = [array[rows] for array in self.arrays]
        return (self.prepare(examples) if self.prepare else examples, *others)

    def _rows(self):
        stop = self._next + self.size
        rows = self._order[self._next : stop]
        self._next = stop
        if stop < self.n:
            return rows
        self._order = self.rng.permutation(self.n)
        self._next = stop - self.n
        return rows if len(rows) == self.size else np.concatenate([rows, self._order[: self._next]])
