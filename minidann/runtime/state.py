"""State as a flat dictionary of arrays: what layers, optimizers and batches must keep.

    state = thing.state_dict()        names -> NumPy arrays in main memory, copies
    thing.load_state_dict(state)      the same names, shapes and dtypes, or else a ValueError

What has no array form (the state of a random generator, the rows of a history) is a 0-d array of
text that holds JSON. So a state can be written to a file that nothing has to unpickle.

The parts of a larger thing stand under prefixed names: ``"features.0.W"`` is the array ``"W"`` of
layer 0 of the features.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from minidann.runtime.arrays import to_device_of, to_host

State = dict[str, np.ndarray]
BIT_GENERATORS = {
    kind.__name__: kind
    for kind in (
        np.random.PCG64,
        np.random.PCG64DXSM,
        np.random.MT19937,
        np.random.Philox,
        np.random.SFC64,
    )
}


def host_copy(array: Any) -> np.ndarray:
    """A copy of an array or a number in main memory."""
    return np.array(to_host(array))


def assign(array: Any, value: np.ndarray) -> None:
    """Copy ``value`` into an array in place, wherever that array lives."""
    array[...] = to_device_of(array, value)


def with_prefix(prefix: str, state: Mapping[str, np.ndarray]) -> State:
    """The state under names such as ``"prefix.W"``."""
    return {f"{prefix}.{name}": array for name, array in state.items()}


def part(state: Mapping[str, np.ndarray], prefix: str) -> State:
    """The inverse of :func:`with_prefix`: the arrays under a prefix, without it."""
    start = f"{prefix}."
    return {name[len(start) :]: array for name, array in state.items() if name.startswith(start)}


def check_state(state: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """Compare names, shapes and dtypes with those that are expected; texts may differ in length.

    Raises
    ------
    ValueError
        At the first difference, in one sentence.
    """
    for name in expected:
        if name not in state:
            raise ValueError(f"the state lacks {name}")
    for name, array in state.items():
        if name not in expected:
            raise ValueError(f"the state has an unknown {name}")
        found, wanted = (_kind(array), array.shape), (_kind(expected[name]), expected[name].shape)
        if found != wanted:
            raise ValueError(
                f"{name} is {found[0]} of shape {found[1]}, but must be {wanted[0]} of shape "
                f"{wanted[1]}"
            )


def _kind(array):
    return "text" if array.dtype.kind == "U" else str(array.dtype)


def as_text(value: Any) -> np.ndarray:
    """A value that JSON can hold (or NumPy's numbers and arrays in it) as a 0-d array of text."""
    return np.array(json.dumps(value, default=lambda array: array.tolist()))


def from_text(text: np.ndarray) -> Any:
    """The inverse of :func:`as_text`; a ValueError if the text is not JSON."""
    try:
        return json.loads(str(text))
    except RecursionError as error:
        raise ValueError(f"{str(text)[:40]!r} is nested too deeply") from error


def generator_state(rng: np.random.Generator) -> np.ndarray:
    """The state of a random generator as text."""
    return as_text(rng.bit_generator.state)


def set_generator_state(rng: np.random.Generator, text: np.ndarray) -> None:
    """The inverse of :func:`generator_state`; the generator stays as it is if the text is wrong.

    Raises
    ------
    ValueError
        If the text is not the state of a generator of this kind.
    """
    kind = type(rng.bit_generator)
    try:
        state = from_text(text)
        kind(0).state = state  # refuses what is not a state
        rng.bit_generator.state = state
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError) as error:
        raise ValueError(f"{str(text)[:40]!r} is not the state of a {kind.__name__}") from error


def generator_of(text: np.ndarray) -> np.random.Generator:
    """A new random generator of the kind and in the state that the text says.

    Raises
    ------
    ValueError
        If the text is not the state of one of NumPy's generators.
    """
    state = from_text(text)
    name = state.get("bit_generator") if isinstance(state, dict) else None
    if name not in BIT_GENERATORS:
        raise ValueError(f"{str(text)[:40]!r} is not the state of a random generator")
    rng = np.random.Generator(BIT_GENERATORS[name](0))
    set_generator_state(rng, text)
    return rng
