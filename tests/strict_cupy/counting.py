"""What a GPU would have spent time on, and every kind of call that was made."""

import threading
from typing import NamedTuple

import numpy as np


class Call(NamedTuple):
    """One kind of call: its name, arguments (without a method's own array) and result.

    Arguments and result are as :func:`describe` puts them.
    """

    name: str
    arguments: tuple
    keywords: tuple
    result: object


class Meter:
    """Counts transfers, waits and launches, and keeps a record of the calls."""

    def __init__(self):
        self.calls, self.fused = set(), set()
        self._lock = threading.Lock()
        self.waits = 0  # like ``syncs``, but never set back: an event asks it what is done
        self.reset()

    def reset(self):
        """Start the counts again; ``calls`` and ``fused`` are kept."""
        self.up, self.down = [], []  # bytes of each transfer, to the device and from it
        self.syncs = self.launches = 0

    def upload(self, nbytes):
        self.up.append(nbytes)

    def fetch(self, nbytes):
        """A transfer to the host waits until the device has computed what it transfers."""
        self.down.append(nbytes)
        self.synchronize()

    def synchronize(self):
        with self._lock:
            self.syncs += 1
            self.waits += 1

    def launch(self):
        if not fusion.on:  # a fused function is launched as one
            with self._lock:
                self.launches += 1

    def record(self, name, arguments, keywords, result):
        described = tuple(sorted((key, describe(value)) for key, value in keywords.items()))
        kinds = tuple(map(describe, result)) if isinstance(result, tuple) else describe(result)
        self.calls.add(Call(name, tuple(map(describe, arguments)), described, kinds))


class Fusion(threading.local):
    """Whether this thread is within a fused function."""

    on = False

    def refuse(self, name):
        if self.on:
            raise TypeError(
                f"{name} cannot be used within a fused function: only ufuncs and operators can"
            )


meter, fusion = Meter(), Fusion()


def describe(value):
    """An array as ``float32[4]``, by dtype and number of axes; anything else by its type."""
    if hasattr(value, "_data"):  # an array of the device
        return f"{value._data.dtype}[{value._data.ndim}]"
    if hasattr(value, "_scalar"):  # a scalar within a fused function
        return describe(value._scalar)
    if isinstance(value, np.generic):
        return f"numpy.{type(value).__name__}"
    return "None" if value is None else type(value).__name__
