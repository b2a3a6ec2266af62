"""Weights of a network that was trained in PyTorch.

PyTorch keeps the channels of an image first, minidann last. Of two arrays the shape
alone does not say how they lie, and no error would tell of it:

    kernels     PyTorch (M, C, KH, KW), Linear (M, D)
                minidann (KH, KW, C, M), Dense (D, M)

    after Flatten    the input of a Dense layer is an image. PyTorch numbers its pixels
                     as (C, H, W), minidann as (H, W, C), so the D rows of W stand in
                     another order, and so do the channels of a BatchNorm between.

PyTorch itself is not needed: a ``state_dict`` is names and arrays.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidann.nn.activations import Flatten
from minidann.nn.architecture import blank
from minidann.nn.batchnorm import BatchNorm
from minidann.nn.conv import Conv2D
from minidann.nn.dense import Dense
from minidann.nn.layer import Layer
from minidann.runtime.arrays import Array
from minidann.runtime.errors import InputError
from minidann.runtime.state import State, assign

Image = tuple[int, ...]  # (H, W, C)
Module = dict[str, np.ndarray]  # arrays of one PyTorch module, by their last name

TWINS: dict[type, dict[str, str]] = {  # the names of a layer's arrays in PyTorch
    Dense: {"W": "weight", "b": "bias"},
    Conv2D: {"W": "weight", "b": "bias"},
    BatchNorm: {
        "gamma": "weight",
        "beta": "bias",
        "mean": "running_mean",
        "var": "running_var",
    },
}
AXES: dict[type, tuple[int, ...]] = {  # of PyTorch's weight, in our order
    Dense: (1, 0),
    Conv2D: (2, 3, 1, 0),
}


def load_torch_weights(
    networks: Sequence[Layer],
    states: Sequence[Mapping[str, Any]],
    input_shape: tuple[int, ...],
) -> None:
    """Give networks the weights of the same networks in PyTorch; all of them or none.

    The modules with weights must stand in the order of the layers with parameters;
    their names do not matter. What is no array has to be made the same by hand:
    strides, borders, and epsilon and momentum of BatchNorm (PyTorch's .1 is .9 here).

    Parameters
    ----------
    networks : sequence of Sequential
        Such as ``dann.networks``. The first one gets the input, the others get the
        output of the first.
    states : sequence of mappings
        The ``state_dict()`` of each in PyTorch: tensors in main memory, or arrays.
    input_shape : tuple of int
        Of one example here, such as (28, 28, 3).

    Raises
    ------
    InputError
        If they do not fit; it names the layer and the module.
    """
    if len(networks) != len(states):
        raise InputError(
            f"there are {len(networks)} networks but {len(states)} state_dicts; give "
            "one for each"
        )
    x, image = blank({str(i): one for i, one in enumerate(networks)}, input_shape), None
    pairs: list[tuple[Layer, State]] = []
    for i, (network, state) in enumerate(zip(networks, states)):
        found, y, image_of_y = _paired(network, modules(state), x, image)
        pairs += found
        if i == 0:
            x, image = y, image_of_y
    for layer, arrays in pairs:
        for name, array in {**layer.params, **layer.state}.items():
            assign(array, arrays[name])


def modules(state: Mapping[str, Any]) -> dict[str, Module]:
    """The arrays of a ``state_dict`` by the module that they belong to, in its order.

    Raises
    ------
    InputError
        If a value is no array of floating-point numbers in main memory.
    """
    found: dict[str, Module] = {}
    for name, tensor in state.items():
        module, _, last = name.rpartition(".")
        if last == "num_batches_tracked":
            continue
        try:
            array = np.asarray(tensor)
            if array.dtype.kind != "f":
                raise TypeError(f"it is of {array.dtype}")
        except (TypeError, RuntimeError) as error:  # a GPU's, bfloat16, no tensor
            raise InputError(
                f"{name} is not an array of floating-point numbers ({error}); give the "
                "state_dict of the network, each tensor.detach().cpu().float()"
            ) from error
        found.setdefault(module, {})[last] = array
    return found


def _paired(
    network: Layer, found: Mapping[str, Module], x: Array, image: Image | None
) -> tuple[list[tuple[Layer, State]], Array, Image | None]:
    """Each layer with its new arrays; the network's output; the image that lies in it.

    ``image`` is the shape (H, W, C) of what lies flattened in x, or None.
    """
    waiting, pairs = list(found.items()), []
    for layer in network.leaves():
        if layer.params:
            if not waiting:
                raise InputError(f"the state_dict ends before the weights of {layer!r}")
            pairs.append((layer, _converted(layer, *waiting.pop(0), image)))
        if isinstance(layer, Flatten) and x.ndim == 4:
            image = x.shape[1:]
        elif isinstance(layer, Dense):
            image = None
        try:
            x = layer.forward(x)
        except (ValueError, IndexError) as error:
            raise InputError(
                f"{layer!r} cannot take an input of shape {x.shape[1:]}; give the "
                "input_shape of one example, channels last"
            ) from error
    if waiting:
        raise InputError(
            f"the state_dict has weights of {waiting[0][0]!r}, for which no layer is "
            "left; the network needs a layer for each module with weights"
        )
    return pairs, x, image


def _converted(layer: Layer, name: str, module: Module, image: Image | None) -> State:
    """The parameters and running statistics of a layer, from those of its module."""
    twins = TWINS.get(type(layer))
    if twins is None:
        raise InputError(f"{layer!r} has no twin in PyTorch whose weights are known")
    if unknown := module.keys() - twins.values():
        raise InputError(
            f"{name!r} of the state_dict has {min(unknown)}, but {layer!r} has not"
        )
    arrays: State = {}
    for ours, array in {**layer.params, **layer.state}.items():
        given = module.get(twins[ours])
        if given is None and ours == "b":  # Linear(..., bias=False)
            given = np.zeros(array.shape, np.float32)
        shape = _torch_shape(layer, array.shape)
        if given is None or given.shape != shape:
            has = "none" if given is None else f"one of shape {given.shape}"
            raise InputError(
                f"{layer!r} needs a {twins[ours]} of shape {shape}, but {name!r} of "
                f"the state_dict has {has}"
            )
        if given.ndim > 1:
            given = given.transpose(AXES[type(layer)])
        arrays[ours] = given if ours == "b" else channels_last(given, image)
    return arrays


def _torch_shape(layer, shape):
    """The shape that PyTorch gives an array of that shape."""
    if len(shape) == 1:
        return shape
    axes = AXES[type(layer)]
    return tuple(shape[axes.index(i)] for i in range(len(axes)))


def channels_last(rows: np.ndarray, image: Image | None) -> np.ndarray:
    """Rows that belong to the pixels of an image: (C H W, ...) -> (H W C, ...).

    Without an image they stay as they are.
    """
    if image is None:
        return rows
    height, width, channels = image
    pixels = rows.reshape(channels, height * width, -1)
    return pixels.swapaxes(0, 1).reshape(rows.shape)
