"""What every layer promises, and how layers are stacked.

A layer is a function y = f(x; theta) together with its derivative. Training needs both
directions of it. Write dy for dL/dy, the gradient that arrives from the layer above:

    forward:    y  = f(x; theta)
    backward:   dx = (df/dx)^T dy            handed on to the layer below
                dtheta = (df/dtheta)^T dy    kept in ``grads`` for the optimizer

A stack f3(f2(f1(x))) runs forward bottom-up and, by the chain rule, backward top-down:

    dx = (df1/dx)^T (df2/df1)^T (df3/df2)^T dy
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from textwrap import indent
from typing import Any, Self

import numpy as np

from minidann.runtime.arguments import arguments, call_arguments
from minidann.runtime.arrays import Array, check_array
from minidann.runtime.checks import one_line
from minidann.runtime.state import (
    State,
    assign,
    check_state,
    generator_state,
    host_copy,
    part,
    set_generator_state,
    with_prefix,
)


class Layer(ABC):
    """One differentiable function with its parameters.

    Attributes
    ----------
    params : dict of str to array
        What is trained. The parameter named ``"W"`` is the one that weight decay
        shrinks.
    grads : dict of str to array
        dL/dparam of the last ``backward``, same names and shapes as ``params``.
    state : dict of str to array
        What is saved but not trained (running statistics).
    """

    _y_shape: tuple[int, ...] | None = None  # of the last forward; ``backward`` checks

    def __init__(self) -> None:
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self.state: dict[str, Array] = {}

    @abstractmethod
    def forward(self, x: Array, train: bool = False) -> Array:
        """Return y = f(x), and keep what ``backward`` will need.

        ``train`` matters to batch-norm and dropout.
        """

    @abstractmethod
    def backward(self, dy: Array) -> Array:
        """Return dL/dx for dy = dL/dy, and assign every entry of ``grads``.

        It follows the last ``forward``. Neither ``x`` nor ``dy`` is changed.
        """

    def parameter_gradients(self, dy: Array) -> None:
        """Assign ``grads`` and leave dL/dx out: the first layer's input is data."""
        self.backward(dy)

    def leaves(self) -> Iterator["Layer"]:
        """The layers that hold the arrays, in order: here, this one."""
        yield self

    def stacks(self) -> Iterator["Sequential"]:
        """The stacks within it, itself included if it is one."""
        return iter(())

    def convert(self, function: Callable[[Array], Array]) -> Self:
        """Replace every parameter and state array a by ``function(a)``.

        So a network changes its precision or its device.
        """
        for leaf in self.leaves():
            for arrays in (leaf.params, leaf.state):
                arrays.update({name: function(array) for name, array in arrays.items()})
        return self

    def state_dict(self) -> State:
        """Copies of all that training changes, in main memory.

        The parameters, the running statistics, and the state of every random generator
        that is an attribute of the layer.
        """
        generators = self._generators()
        state = {
            name: host_copy(array)
            for name, array in {**self.params, **self.state}.items()
        } | {name: generator_state(rng) for name, rng in generators.items()}
        if len(state) < len(self.params) + len(self.state) + len(generators):
            raise ValueError(f"two arrays of {type(self).__name__} have the same name")
        return state

    def load_state_dict(self, state: State) -> None:
        """The inverse of ``state_dict``: every array goes to where its twin lives.

        Raises
        ------
        ValueError
            If names, shapes or dtypes are not those of ``state_dict()``.
        """
        check_state(state, self.state_dict())
        for name, array in {**self.params, **self.state}.items():
            assign(array, state[name])
        for name, rng in self._generators().items():
            set_generator_state(rng, state[name])

    def config(self) -> dict[str, Any]:
        """The arguments that make such a layer, without ``rng`` and ``init``.

        Numbers and texts that JSON can hold. By default those arguments of the
        constructor that are attributes of the same name.
        """
        return arguments(self)

    def __repr__(self) -> str:
        shown = call_arguments(type(self), self.config())
        return f"{type(self).__name__}({', '.join(shown)})"

    def _generators(self):
        return {
            name: value
            for name, value in vars(self).items()
            if isinstance(value, np.random.Generator)
        }


class Sequential(Layer):
    """Layers one after another; itself a layer.

    ``params``, ``grads`` and ``state`` show all arrays of the stack under names such as
    ``"0.W"``.

    Parameters
    ----------
    layers : list of Layer
        The first one receives the input.

    Raises
    ------
    ValueError
        If one is no layer, or stands twice.
    """

    def __init__(self, layers: Iterable[Layer]):
        self.layers = list(layers)
        for layer in self.layers:
            if not isinstance(layer, Layer):
                raise ValueError(f"{layer!r} is no layer; give one, such as ReLU()")
        refuse_twice(self.leaves())

    def forward(self, x: Array, train: bool = False) -> Array:
        for layer in self.layers:
            x = layer.forward(x, train)
        return x

    def backward(self, dy: Array) -> Array:
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy

    def parameter_gradients(self, dy: Array) -> None:
        trained = [i for i, layer in enumerate(self.layers) if layer.params]
        if not trained:
            return
        first = trained[0]  # below it nothing is trained: no gradient need go further
        for layer in reversed(self.layers[first + 1 :]):
            dy = layer.backward(dy)
        self.layers[first].parameter_gradients(dy)

    def config(self) -> dict[str, Any]:
        """Nothing: what makes a stack is its layers, and each has a ``config``."""
        return {}

    def __repr__(self) -> str:
        lines = "".join(f"{layer!r},\n" for layer in self.layers)
        inner = "\n" + indent(lines, "    ") if lines else ""
        return f"{type(self).__name__}([{inner}])"

    def leaves(self) -> Iterator["Layer"]:
        for layer in self.layers:
            yield from layer.leaves()

    def stacks(self) -> Iterator["Sequential"]:
        yield self
        for layer in self.layers:
            yield from layer.stacks()

    def state_dict(self) -> State:
        state: State = {}
        for i, layer in enumerate(self.layers):
            state |= with_prefix(str(i), layer.state_dict())
        return state

    def load_state_dict(self, state: State) -> None:
        check_state(state, self.state_dict())
        for i, layer in enumerate(self.layers):
            layer.load_state_dict(part(state, str(i)))

    @property
    def params(self) -> "StackArrays":  # type: ignore[override]
        """The parameters of all layers."""
        return StackArrays(self.layers, "params")

    @property
    def grads(self) -> "StackArrays":  # type: ignore[override]
        """The gradients of all layers."""
        return StackArrays(self.layers, "grads")

    @property
    def state(self) -> "StackArrays":  # type: ignore[override]
        """The running statistics of all layers."""
        return StackArrays(self.layers, "state")


class StackArrays(dict[str, Array]):
    """All arrays of one kind in a stack; ``arrays["0.W"] = W`` sets that of the layer.

    A name cannot be added or taken away, for the layers say which there are.
    """

    def __init__(self, layers: list[Layer], kind: str):
        super().__init__(
            (f"{i}.{name}", array)
            for i, layer in enumerate(layers)
            for name, array in getattr(layer, kind).items()
        )
        self._layers, self._kind = layers, kind

    def __setitem__(self, name: str, array: Array) -> None:
        """Set the array of a layer.

        Raises
        ------
        ValueError
            If there is no such array, or it is of another shape or dtype.
        """
        place, _, inner = name.partition(".")
        kinds = "params" if self._kind == "grads" else self._kind  # a gradient is alike
        alike = StackArrays(self._layers, kinds)
        if name not in alike:
            raise ValueError(f"there is no {name} here; there are {', '.join(alike)}")
        check_array(array, name)
        check_state({name: array}, {name: alike[name]})
        getattr(self._layers[int(place)], self._kind)[inner] = array
        super().__setitem__(name, array)

    def update(self, *others: Any, **named: Array) -> None:
        """Set several."""
        for name, array in dict(*others, **named).items():
            self[name] = array

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc, override]
        self.update(other)
        return self

    def _refuse(self, *arguments: Any, **named: Any) -> Any:
        """Not for a stack: a TypeError."""
        raise TypeError(
            "names cannot be added to the arrays of a stack, or taken away; change its "
            "layers"
        )

    __delitem__ = clear = pop = popitem = setdefault = _refuse

    def __reduce__(self) -> tuple:
        """A copy is a plain dictionary, of no network."""
        return dict, (dict(self),)


def refuse_twice(leaves: Iterable[Layer]) -> None:
    """Refuse a layer that stands twice: it keeps only what its last forward met."""
    seen: set[int] = set()
    for leaf in leaves:
        if id(leaf) in seen:
            raise ValueError(
                f"the same {one_line(leaf)} stands twice; make a layer for each place"
            )
        seen.add(id(leaf))
