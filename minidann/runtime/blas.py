"""NumPy's products come from a BLAS library, which has threads of its own: hold it to one.

BLAS must keep to one thread *throughout* the work that ``runtime.threads`` splits: between two
products its own threads wait for the next one in a loop that keeps a core busy.

The limit belongs to the whole process, so the first thread of the program that asks for it sets it,
and the last one to leave lifts it.
"""

import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from ctypes import c_int
from functools import cache
from threading import RLock
from typing import NamedTuple


class Library(NamedTuple):
    """One BLAS library of this process: read and set the number of its threads."""

    get: Callable[[], int]
    set: Callable[[int], object]


Counts = list[tuple[Library, int]]  # libraries, and the threads that each had


class Blas:
    """The BLAS libraries of this process, and the threads of the program that hold them.

    Attributes
    ----------
    inside : int
        How many threads hold BLAS.
    allowed : int
        Threads that BLAS had before the first of them: the most of any library.
    """

    def __init__(self) -> None:
        self.inside, self.allowed = 0, 1
        self._before: Counts = []
        # one that its owner may take again: a signal handler, which may run anywhere, may predict
        self._lock = RLock()
        if hasattr(os, "register_at_fork"):  # Windows cannot fork
            os.register_at_fork(before=self._lock.acquire, after_in_parent=self._lock.release)

    def hold(self) -> Counts:
        """Hold BLAS to one thread for the calling thread too; returns what to give ``release``."""
        with self._lock:
            shared, separate = libraries()
            own = _to_one(separate)
            if not self.inside:
                self._before = _to_one(shared)
                self.allowed = max((n for _, n in own + self._before), default=1)
            self.inside += 1
            return own

    def release(self, own: Counts) -> None:
        """The calling thread is done; after the last one BLAS has its threads again."""
        with self._lock:
            self.inside -= 1
            _restore(own)
            if not self.inside:
                _restore(self._before)

    def threads(self) -> int:
        """How many threads BLAS may use when no one holds it."""
        with self._lock:
            if self.inside:
                return self.allowed
            return max((library.get() for group in libraries() for library in group), default=1)

    def after_fork_in_child(self, inside: bool) -> None:
        """Of all threads only the one that forked lives on in the child; is it ``inside``?"""
        if self.inside and not inside:
            _restore(self._before)
        self.inside = int(inside)
        self._lock.release()


def _to_one(libraries: list[Library]) -> Counts:
    before = []
    for library in libraries:
        n = library.get()
        if n > 1:
            library.set(1)
            before.append((library, n))
    return before


def _restore(before: Counts) -> None:
    for library, n in before:
        library.set(n)


@cache
def libraries() -> tuple[list[Library], list[Library]]:
    """The BLAS libraries that the process had loaded at the first call, which takes 20 ms.

    First those whose limit belongs to the process, then those where each thread has its own
    (OpenMP), which it must set itself.
    """
    from threadpoolctl import ThreadpoolController

    shared, separate = [], []
    for controller in ThreadpoolController().select(user_api="blas").lib_controllers:
        openblas = controller.internal_api == "openblas"
        if openblas and controller.threading_layer == "openmp":
            separate.append(_library(controller))
        else:
            shared.append((_openblas if openblas else _library)(controller))
    return shared, separate


def _library(controller) -> Library:
    return Library(lambda: controller.num_threads or 1, controller.set_num_threads)


def _openblas(controller) -> Library:
    """By its own functions: threadpoolctl lets but one thread of the program set the limit."""
    for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_", "_64")):
        with suppress(AttributeError):
            get, set_ = (
                getattr(controller.dynlib, f"{prefix}openblas_{verb}_num_threads{suffix}")
                for verb in ("get", "set")
            )
            set_.argtypes, set_.restype = (c_int,), None
            return Library(get, set_)
    return _library(controller)


blas = Blas()
