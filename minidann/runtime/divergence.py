"""Where the first number that is not finite arose, once training has diverged.

NaN spreads to all that is computed from it, so it is sought at once: among the weights before any
gradient is taken from them again, and else in the same forward pass, made once more.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np

from minidann.runtime.arrays import Array, to_host

LOWER = "lower one of the last two"


class Origin(NamedTuple):
    """Where it arose, in words, and what to do about it; ``what`` is "" if it is not known."""

    what: str = ""
    remedy: str = LOWER


class _Found(Exception):
    def __init__(self, origin: Origin):
        self.origin = origin


def is_finite(array: Array) -> bool:
    """Whether all numbers are finite. It looks at each, in main memory."""
    return bool(np.isfinite(to_host(array)).all())


def named_layers(networks: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The layers within networks by the names of their arrays, such as ``"features.0"``."""
    for name, network in networks.items():
        if hasattr(network, "layers"):
            yield from named_layers({f"{name}.{i}": one for i, one in enumerate(network.layers)})
        else:
            yield name, network


def in_weights(networks: Mapping[str, Any]) -> Origin:
    """The layer whose weights a step spoiled first.

    Gradients come from the losses down, and spoil all layers below the first: so it is the one that
    is nearest to the losses.
    """
    layers = [(name, layer) for name, layer in named_layers(networks) if layer.params]
    spoiled = [
        (name, layer, key)
        for name, layer in layers
        for key, array in layer.params.items()
        if not is_finite(array)
    ]
    if not spoiled:
        return Origin()
    if len({name for name, _, _ in spoiled}) == len(layers) > 1:
        return Origin("it left no layer with finite weights")
    last = spoiled[-1][0]
    _, layer, key = next(one for one in spoiled if one[0] == last)
    return Origin(f"it left NaN or infinity in {key} of {last}, {_line(layer)}")


def in_forward(networks: Mapping[str, Any], again: Callable[[], object]) -> Origin:
    """The first layer whose output is not finite when ``again()`` computes all of them once more.

    Random draws, as of dropout, are others than before.
    """
    with ExitStack() as stack:
        for name, layer in named_layers(networks):
            stack.callback(_watch(name, layer))
        try:
            again()
        except _Found as found:
            return found.origin
    return Origin()


def _watch(name: str, layer: Any) -> Callable[[], None]:
    """Let a layer raise _Found at what is not finite; a function that undoes it."""
    forward, own = layer.forward, vars(layer).get("forward")

    def watched(x: Array, train: bool = False) -> Array:
        if not is_finite(x):  # outputs of other layers have been looked at: it is the input
            remedy = "look at the data and at their preparation"
            raise _Found(
                Origin(f"the input of {name}, {_line(layer)}, holds NaN or infinity", remedy)
            )
        y = forward(x, train)
        if not is_finite(y):
            raise _Found(Origin(f"the output of {name}, {_line(layer)}, holds NaN or infinity"))
        return y

    def undo() -> None:
        if own is None:
            del layer.forward
        else:
            layer.forward = own

    layer.forward = watched
    return undo


def _line(layer: Any) -> str:
    return " ".join(repr(layer).split())
