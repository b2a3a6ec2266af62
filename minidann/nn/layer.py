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
from typing import Self

from minidann.runtime.arrays import Array


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

    def __init__(self):
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

    def convert(self, function: Callable[[Array], Array]) -> Self:
        """Replace every parameter and state array a by ``function(a)``.

        So a network changes its precision or its device.
        """
        for leaf in self.leaves():
            for arrays in (leaf.params, leaf.state):
                arrays.update({name: function(array) for name, array in arrays.items()})
        return self


class Sequential(Layer):
    """Layers one after another; itself a layer.

    ``params``, ``grads`` and ``state`` show all arrays of the stack under names such as
    ``"0.W"``.

    Parameters
    ----------
    layers : list of Layer
        The first one receives the input.
    """

    def __init__(self, layers: Iterable[Layer]):
        self.layers = list(layers)

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

    def leaves(self) -> Iterator["Layer"]:
        for layer in self.layers:
            yield from layer.leaves()

    params = property(lambda self: self._collect("params"))
    grads = property(lambda self: self._collect("grads"))
    state = property(lambda self: self._collect("state"))

    def _collect(self, kind: str) -> dict[str, Array]:
        return {
            f"{i}.{name}": array
            for i, layer in enumerate(self.layers)
            for name, array in getattr(layer, kind).items()
        }
