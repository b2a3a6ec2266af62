"""NumPy's products come from a BLAS library, which has threads of its own: hold it to one.

BLAS must keep to one thread *throughout* the work that ``runtime.threads`` splits. Between two
products its own threads wait for the next one in a loop that keeps a core busy.

The limit belongs to the whole process: the first thread of the program that works on all cores sets
it, and the last one to leave lifts it. Nothing is changed on import.
"""

import itertools
from collections.abc import Callable, Iterable
from contextlib import suppress
from ctypes import c_int
from functools import cache
from threading import RLock
from typing import Any, NamedTuple


class Library(NamedTuple):
    """One BLAS library of this process: read and set the number of its threads."""

    get: Callable[[], int]
    set: Callable[[int], object]


Counts = list[tuple[Library, int]]  # libraries, and the threads that each had

lock = RLock()  # a signal handler may run anywhere, and may predict: the owner can take it again
_inside = 0  # threads of the program that hold BLAS
_allowed = 1  # threads that BLAS had before the first of them, the most of any library
_before: Counts = []  # and those of each library


def hold() -> tuple[Counts, int, int]:
    """Hold BLAS to one thread, also for the calling thread.

    Returns
    -------
    own : list
        What to give to ``release``.
    allowed : int
        Threads that BLAS had before it was held.
    inside : int
        Threads of the program that hold it now.
    """
    global _inside, _allowed, _before
    with lock:
        shared, separate = libraries()
        own = _to_one(separate)
        if not _inside:
            _before = _to_one(shared)
            _allowed = max((n for _, n in own + _before), default=1)
        _inside += 1
        return own, _allowed, _inside


def release(own: Counts) -> None:
    """The calling thread is done. After the last one BLAS has its threads again."""
    global _inside
    with lock:
        _inside -= 1
        _restore(own)
        if not _inside:
            _restore(_before)


def threads() -> int:
    """How many threads BLAS may use when no one holds it."""
    with lock:
        if _inside:
            return _allowed
        return max((library.get() for library in itertools.chain(*libraries())), default=1)


def hold_in_helper() -> None:
    """Hold BLAS to one thread in a new thread, which does nothing but help one that holds it."""
    _to_one(libraries()[1])


def after_fork_in_child(inside: bool) -> None:
    """Of all threads only the one that forked lives on in the child; was it ``inside``?

    The caller owns the lock.
    """
    global _inside
    if _inside and not inside:
        _restore(_before)
    _inside = int(inside)


def _to_one(libraries: Iterable[Library]) -> Counts:
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

    First those whose limit belongs to the process, then those where each thread of the program has
    a limit of its own (OpenMP).
    """
    from threadpoolctl import ThreadpoolController  # not needed before

    shared, separate = [], []
    for controller in ThreadpoolController().select(user_api="blas").lib_controllers:
        openblas = controller.internal_api == "openblas"
        if openblas and controller.threading_layer == "openmp":
            separate.append(_library(controller))
        else:
            shared.append((openblas and _openblas(controller)) or _library(controller))
    return shared, separate


def _library(controller: Any) -> Library:
    return Library(lambda: controller.num_threads or 1, controller.set_num_threads)


def _openblas(controller: Any) -> Library | None:
    """By its own functions, since threadpoolctl lets only one thread of the program set them."""
    for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_", "_64")):
        with suppress(AttributeError):
            get, set_ = (
                getattr(controller.dynlib, f"{prefix}openblas_{verb}_num_threads{suffix}")
                for verb in ("get", "set")
            )
            set_.argtypes, set_.restype = (c_int,), None
            return Library(get, set_)
    return None
