"""Fast twins: the lesson stands in ``nn``, what runs by default stands in ``fast``.

A class of ``nn`` decorated with :func:`fast_twin` is complete: its methods are the plain
formula and run by themselves. If :mod:`minidann.fast` has a class of the same name, the methods
of that one are called instead, with the layer as ``self``, the same arguments, and the same result
but for rounding:

    y = layer.forward(x)                    the fast twin
    with plain():
        y = layer.forward(x)                the lesson

What a layer keeps for its ``backward`` belongs to whichever ran ``forward``, so ``backward``
follows ``forward``, wherever ``plain`` begins or ends in between.

A subclass may override the methods themselves: its own run, and ``super()`` reaches the twin. If it
overrides an inner method, whose name begins with an underscore, the lesson runs, because the twin
would not call that method.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from importlib import import_module
from types import ModuleType
from typing import TypeVar

CHOOSING = ("forward", "step", "_allocate")  # plain or fast is decided when one of them is called,
FOLLOWING = ("backward", "parameter_gradients")  # and these go the same way

C = TypeVar("C", bound=type)
_plain: ContextVar[bool] = ContextVar("plain", default=False)


@contextmanager
def plain() -> Iterator[None]:
    """Within this context, in this thread, the plain code of ``nn`` runs and no fast twin."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def fast_twin(cls: C) -> C:
    """Let the methods of a class run as those of its namesake in :mod:`minidann.fast`."""
    # of an instance: what its last ``forward`` or ``step`` chose
    cls._twin = None  # type: ignore[attr-defined]
    for name in (*CHOOSING, *FOLLOWING):
        if method := getattr(cls, name, None):
            if name in FOLLOWING:
                wrapper = _following(name, method)
            elif name == "forward":
                wrapper = _choosing_forward(cls, method)
            else:
                wrapper = _choosing(cls, name, method)
            setattr(cls, name, wrapper)
    return cls


def twin_of(cls: type) -> type | None:
    """The class of the same name in :mod:`minidann.fast`; None if there is none."""
    return getattr(_fast(), cls.__name__, None)


@cache
def _fast() -> ModuleType | None:
    try:
        return import_module("minidann.fast")
    except ModuleNotFoundError as error:
        if error.name != "minidann.fast":
            raise
        return None  # the lesson runs without its twins


@cache
def _twin_for(cls: type, actual: type) -> type | None:
    """The twin of the decorated ``cls`` for an instance of its subclass ``actual``."""
    subclasses = actual.__mro__[: actual.__mro__.index(cls)]
    overridden = {
        name
        for subclass in subclasses
        for name, value in vars(subclass).items()
        if inspect.isfunction(value) and name.startswith("_") and not name.startswith("__")
    }
    return None if any(hasattr(cls, name) for name in overridden) else twin_of(cls)


# The wrappers spell their arguments out: with *args each call would take a third longer, and
# Blobs' whole step is a few dozen calls of a microsecond or two. For the same reason a wrapper
# keeps what it found for each class.


def _choosing_forward(cls: type, method: Callable) -> Callable:
    found: dict[type, tuple[type | None, Callable]] = {}  # of each subclass: twin, its forward

    @wraps(method)
    def forward(self, x, train=False):
        if _plain.get():
            self._twin = None
            return method(self, x, train)
        actual = self.__class__
        if actual not in found:
            twin = _twin_for(cls, actual)
            found[actual] = twin, getattr(twin, "forward", method)
        self._twin, call = found[actual]
        return call(self, x, train)

    return forward


def _choosing(cls: type, name: str, method: Callable) -> Callable:
    @wraps(method)
    def call(self):
        self._twin = None if _plain.get() else _twin_for(cls, self.__class__)
        return getattr(self._twin, name, method)(self)

    return call


def _following(name: str, method: Callable) -> Callable:
    @wraps(method)
    def call(self, dy):
        return getattr(self._twin, name, method)(self, dy)

    return call
