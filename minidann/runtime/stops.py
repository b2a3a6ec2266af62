"""The signals that ask a program to end: Ctrl-C, a scheduler's SIGTERM, a terminal that closes.

    with caught(): ...            a program: each of them raises a Stop
    signals = Held()              training: they wait until a checkpoint has been saved
    signals.hold(); ...; signals.release()

A signal that is ignored stays ignored: what ``nohup`` started outlives its terminal. Only the main
thread of a program can do all this; elsewhere it does nothing.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
_asked: int | None = None


class Stop(KeyboardInterrupt):
    """One of the signals; its number is the argument."""


def asked() -> int | None:
    """The number of the signal that has asked this program to end, if one has."""
    return _asked


@contextmanager
def caught() -> Iterator[None]:
    """A context in which each of the signals raises a :class:`Stop`, a KeyboardInterrupt."""
    global _asked
    _asked = None
    before = _handle(_stop)
    try:
        yield
    finally:
        _restore(before)
        _asked = None


def _stop(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = number
    raise Stop(number)


class Held:
    """Holds the signals back.

    Attributes
    ----------
    number : int, optional
        Of the signal that waits. A second Ctrl-C does not wait.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    def hold(self) -> None:
        """From now on signals wait."""
        if not self._before:
            self._before = _handle(self._note)

    def release(self) -> None:
        """Let the signal that waits, if any, do now what it would have done."""
        _restore(self._before)
        self._before = {}
        number, self.number = self.number, None
        if number is not None:
            signal.raise_signal(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        again = self.number is not None and number == signal.SIGINT
        self.number = number
        if again:
            self.release()


def _handle(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Give the signals a handler; what they had before."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    found = {number: signal.getsignal(number) for number in SIGNALS}
    before = {n: old for n, old in found.items() if old not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, handler)
    return before


def _restore(before: dict[int, Any]) -> None:
    for number, old in before.items():
        signal.signal(number, old)
