"""Networks as plain data: what a file says of them, and what a table shows of them.

    describe(network)              numbers and texts that JSON can hold
    build(description, arrays)     the network again, of the arrays of ``state_dict()``
    table(networks, input_shape)   each layer, its output shape, its parameters

Nothing in a description is evaluated: a layer is one of ``LAYERS`` by its name, or it
is refused.
"""

import math
from collections.abc import Mapping
from inspect import signature
from typing import Any

import numpy as np

from minidann import nn
from minidann.nn.layer import Layer, Sequential
from minidann.runtime.arrays import Array, array_module
from minidann.runtime.state import State, generator_of, part

LAYERS = {name: getattr(nn, name) for name in nn.__all__ if name != "Layer"}
LARGEST = 10**6  # of any number in a description; it is checked before memory is taken


def describe(network: Layer) -> dict[str, Any]:
    """What makes such a network, but for its arrays.

    Raises
    ------
    ValueError
        If a layer is not one of minidann's own, because no file could name its class.
    """
    name = type(network).__name__
    if LAYERS.get(name) is not type(network):
        raise ValueError(
            f"{name} is not one of the layers of minidann.nn; keep the arrays of its "
            "state_dict() instead, and build the network by your own code"
        )
    if isinstance(network, Sequential):
        return {"layer": name, "layers": [describe(layer) for layer in network.layers]}
    return {"layer": name, "config": network.config()}


def build(description: Mapping[str, Any], arrays: State) -> Layer:
    """The inverse of :func:`describe`, with these arrays as parameters and state.

    Raises
    ------
    ValueError
        If a layer is unknown, its arguments make no sense or the arrays do not fit.
    """
    name = description["layer"]
    if name not in LAYERS:
        raise ValueError(f"{str(name)[:40]!r} is not one of the layers of minidann.nn")
    if LAYERS[name] is Sequential:
        network = Sequential(
            [
                build(layer, part(arrays, str(i)))
                for i, layer in enumerate(description["layers"])
            ]
        )
    else:
        network = _layer(LAYERS[name], description["config"], arrays)
    unknown = arrays.keys() - network.state_dict().keys()
    if unknown:
        raise ValueError(f"{name} has no {min(unknown)}")
    return network


def _layer(cls, config, arrays):
    """A layer around arrays: no weights are drawn, and no memory is taken for them."""
    for name, value in config.items():
        _check_argument(name, value)
    arguments = signature(cls).parameters
    needed: dict[str, Any] = {}
    if "init" in arguments:
        needed = {"rng": None, "init": _no_weights}
    elif "rng" in arguments:
        needed = {"rng": generator_of(_taken(arrays, "rng"))}
    layer = cls(**config, **needed)
    for kind in (layer.params, layer.state):
        for name, made in kind.items():
            array = _taken(arrays, name)
            if array.shape != made.shape or array.dtype.kind != made.dtype.kind:
                raise ValueError(
                    f"{name} of {layer!r} is {array.dtype} of shape {array.shape}, not "
                    f"of shape {made.shape}"
                )
            kind[name] = array.copy()
    return layer


def _no_weights(rng, shape):
    """An initializer that only says what shapes the weights will have."""
    zero = np.float32(0)
    return np.broadcast_to(zero, shape), np.broadcast_to(zero, shape[-1:])


def _taken(arrays, name):
    if name not in arrays:
        raise ValueError(f"it lacks {name}")
    return arrays[name]


def _check_argument(name, value):
    """Refuse what is no argument of a layer, before it takes memory for its sizes."""
    least = 0 if name == "padding" else 1
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, bool | float | str | None):
            continue
        if not isinstance(one, int):
            raise ValueError(f"{name} is {str(one)[:40]}, neither number nor text")
        if not least <= one <= LARGEST:
            raise ValueError(f"{name} is {one}; it must be from {least} to {LARGEST}")


def table(networks: Mapping[str, Layer], input_shape: tuple[int, ...]) -> str:
    """Each layer of the networks with its output shape and its number of parameters.

    Parameters
    ----------
    networks : dict of str to Layer
        The first one gets the input, the others get the output of the first.
    input_shape : tuple of int
        Of one example, such as (28, 28, 3).

    Raises
    ------
    ValueError
        If the input does not fit the networks.
    """
    x = blank(networks, input_shape)
    lines, total = [("input", _shape(x), "")], 0
    for i, (name, network) in enumerate(networks.items()):
        rows, y = _rows(network, x)
        count = sum(array.size for array in network.params.values())
        lines += [
            ("", "", ""),
            (name, "", ""),
            *rows,
            ("  parameters", "", f"{count:,}"),
        ]
        total += count
        if i == 0:
            x = y
    lines += [("", "", ""), ("all parameters", "", f"{total:,}")]
    lines = [("", "output", "parameters"), *lines]
    first, second, third = (max(map(len, column)) for column in zip(*lines))
    return "\n".join(
        f"{a:<{first}}  {b:<{second}}  {c:>{third}}".rstrip() for a, b, c in lines
    )


def blank(networks: Mapping[str, Layer], input_shape: tuple[int, ...]) -> Array:
    """One example of zeros, where the networks live and in their precision."""
    arrays = [array for one in networks.values() for array in one.params.values()]
    like = arrays[0] if arrays else np.zeros(0, np.float32)
    return array_module(like).zeros((1, *input_shape), like.dtype)


def _rows(network, x):
    """(the lines of a network for input x, its output)."""
    if type(network).forward is Sequential.forward:  # not what a subclass makes of it
        rows = []
        for layer in network.layers:
            more, x = _rows(layer, x)
            rows += more
        return rows, x
    text = " ".join(repr(network).split())
    try:
        y = network.forward(x)
    except (ValueError, IndexError) as error:
        raise ValueError(
            f"{text} cannot take an input of shape {_shape(x)}: {error}"
        ) from error
    count = sum(math.prod(array.shape) for array in network.params.values())
    return [(f"  {text}", _shape(y), f"{count:,}" if count else "")], y


def _shape(x):
    return str(x.shape[1:])
