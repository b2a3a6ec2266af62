"""Fast twins: the lesson stands in ``nn``, what runs by default stands in ``fast``.

A class of ``nn`` decorated with :func:`fast_twin` is complete: its methods are the plain
formula and run by themselves. If :mod:`minidann.fast` has a class of the same name, the methods
of that one are called instead, with the same arguments and the same result, but for rounding:

    y = layer.forward(x)                    the fast twin
    with plain():
        y = layer.forward(x)                the lesson

What a layer keeps for its ``backward`` belongs to the twin that ran ``forward``, so ``backward``
follows whatever ``forward`` was, wherever ``plain`` begins or ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from importlib import import_module

FIRST = ("forward", "step")  # they choose; "backward" and "parameter_gradients" follow
FOLLOWING = ("backward", "parameter_gradients")

_plain: ContextVar[bool] = ContextVar("plain", default=False)


@contextmanager
def plain() -> Iterator[None]:
    """Within this context the plain code of ``nn`` runs, and none of the fast twins."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def fast_twin(cls: type) -> type:
    """Let the methods of a class run as those of its namesake in :mod:`minidann.fast`."""
    for name in (*FIRST, *FOLLOWING):
        if name in vars(cls):
            setattr(cls, name, _twinned(cls, name, vars(cls)[name]))
    return cls


def twin_of(cls: type) -> type | None:
    """The class of that name in :mod:`minidann.fast`, None if there is none."""
    return _find(cls.__name__)


@cache
def _find(name: str) -> type | None:
    try:
        return getattr(import_module("minidann.fast"), name, None)
    except ModuleNotFoundError as error:
        if error.name != "minidann.fast":
            raise
        return None  # the lesson runs without its twins


def _twinned(cls, name, method):
    @wraps(method)
    def call(self, *args, **kwargs):
        if name in FIRST:
            self._twin = None if _plain.get() else twin_of(cls)
        twin = getattr(self, "_twin", None)
        return (getattr(twin, name) if hasattr(twin, name) else method)(self, *args, **kwargs)

    return call
