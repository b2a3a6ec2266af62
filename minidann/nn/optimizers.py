"""Optimizers: how a gradient g changes a parameter theta.

    SGD with momentum      v <- momentum v + g
                           theta <- theta - mu v

    Adam                   m <- beta1 m + (1 - beta1) g           a running mean of g
                           s <- beta2 s + (1 - beta2) g^2         and of its square
                           mhat = m / (1 - beta1^t)               at step t = 1, 2, ...
                           shat = s / (1 - beta2^t)
                           theta <- theta - mu mhat / (sqrt(shat) + epsilon)

    L2 weight decay        g <- g + weight_decay W                for weights W, never
                                                      for biases or batch-norm

theta, g, v, m and s of one parameter have the same shape, and every number moves by
itself.

One optimizer holds all the networks that are trained together. In DANN this matters:
the reversed gradient reaches the features already multiplied by lambda and *added* to
the label head's. Adam divides every gradient by its own size, so a second Adam for the
reversed part would divide lambda away.

Source: Polyak, Some methods of speeding up the convergence of iteration methods (1964);
Kingma & Ba, Adam (2015), algorithm 1, whose v is s here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np

from minidann.nn.layer import Layer, Sequential, refuse_twice
from minidann.runtime.arrays import Array, array_module, to_device_of
from minidann.runtime.checks import one_line
from minidann.runtime.state import State, assign, check_state, host_copy
from minidann.runtime.twins import fast_twin

Networks = Layer | Iterable[Layer]


class Optimizer(ABC):
    """Applies the gradients that the layers of ``networks`` hold.

    Parameters
    ----------
    networks : Layer or iterable of Layer
        All that is trained; ``dann.networks`` for a DANN.
    learning_rate : float
        mu. May be set before each step.
    weight_decay : float
        L2 strength, on the parameters named ``"W"``.

    Raises
    ------
    ValueError
        If there are no parameters, not all are of one precision, or one is there twice.

    Attributes
    ----------
    t : int
        Steps taken.
    state : dict of str to array
        What is remembered from step to step, such as ``"velocity.3"`` for the parameter
        number 3, in its shape.
    """

    memory: tuple[str, ...] = ()  # what is remembered of each parameter

    def __init__(self, networks: Networks, learning_rate: float, weight_decay: float):
        self._networks = [networks] if isinstance(networks, Layer) else list(networks)
        self.learning_rate, self._weight_decay = learning_rate, weight_decay
        self._slots = self._find_slots()
        self._stacks = self._find_stacks()
        self._refuse_repeated()
        self._refuse_mixed_precision()
        self.t = 0
        self.state: dict[str, Array] = {}
        self._allocate()

    def step(self) -> None:
        """Change every parameter in place by one step along its gradient.

        Raises
        ------
        RuntimeError
            If a layer has no gradient yet.
        ValueError
            If a layer was exchanged since the optimizer was made.
        """
        gradients = self._gradients()
        self.t += 1
        for i, ((leaf, name), g) in enumerate(zip(self._slots, gradients)):
            theta = leaf.params[name]
            if self._weight_decay and name == "W":
                g = g + self._weight_decay * theta
            memory = [self._recall(f"{kind}.{i}", theta) for kind in self.memory]
            self._update(theta, g, *memory)

    def state_dict(self) -> State:
        """Copies of ``t`` and of the memory, in main memory."""
        memory = {name: host_copy(array) for name, array in self._memory().items()}
        return {"t": np.array(self.t), **memory}

    def load_state_dict(self, state: State) -> None:
        """The inverse of ``state_dict``.

        Raises
        ------
        ValueError
            If names, shapes or dtypes are not those of ``state_dict()``, or t < 0.
        """
        check_state(state, self.state_dict())
        if state["t"] < 0:
            raise ValueError(f"the optimizer has taken {state['t']} steps")
        self.t = int(state["t"])
        for name, array in self._memory().items():
            assign(array, state[name])

    def _memory(self) -> dict[str, Array]:
        """``state``, where the parameters live now and in their precision."""
        return {
            f"{kind}.{i}": self._recall(f"{kind}.{i}", leaf.params[name])
            for kind in self.memory
            for i, (leaf, name) in enumerate(self._slots)
        }

    @abstractmethod
    def _update(self, theta: Array, g: Array, *memory: Array) -> None:
        """Change one parameter and its memory, in place, for its gradient g."""

    def _allocate(self) -> None:
        """The memory begins at zero."""
        for kind in self.memory:
            for i, (leaf, name) in enumerate(self._slots):
                theta = leaf.params[name]
                self.state[f"{kind}.{i}"] = array_module(theta).zeros_like(theta)

    def _recall(self, key: str, theta: Array) -> Array:
        """What is remembered of theta, where that lives now and in its precision."""
        array = to_device_of(theta, self.state[key]).astype(theta.dtype, copy=False)
        self.state[key] = array
        return array

    def _refuse_mixed_precision(self) -> None:
        dtypes = sorted({str(leaf.params[name].dtype) for leaf, name in self._slots})
        if len(dtypes) != 1:
            found = ", ".join(dtypes) or "none: there are none"
            raise ValueError(
                f"the parameters are of precision {found}; give networks with some, "
                "all of one precision"
            )

    def _refuse_repeated(self) -> None:
        refuse_twice(leaf for network in self._networks for leaf in network.leaves())
        if len({id(leaf.params[name]) for leaf, name in self._slots}) < len(
            self._slots
        ):
            raise ValueError(
                "two parameters are the same array, which would be stepped twice; give "
                "each its own"
            )

    def _find_slots(self) -> list[tuple[Layer, str]]:
        """Each parameter, as the layer that holds it and its name there."""
        leaves = (leaf for network in self._networks for leaf in network.leaves())
        return [(leaf, name) for leaf in leaves for name in leaf.params]

    def _find_stacks(self) -> list[tuple[Sequential, list[Layer]]]:
        """Each stack of the networks, and the layers that it has now."""
        stacks = (stack for network in self._networks for stack in network.stacks())
        return [(stack, list(stack.layers)) for stack in stacks]

    def _refuse_exchanged(self) -> None:
        """Some layer of the networks is another: refuse it if it has parameters."""
        held, found = self._slots, self._find_slots()
        for leaf, _ in (
            slot for slot in found + held if slot not in held or slot not in found
        ):
            raise ValueError(
                f"{one_line(leaf)} was exchanged after the optimizer was made, which "
                "would go on with the old layer; make a new optimizer"
            )
        self._stacks = self._find_stacks()

    def check_layers(self, networks: Iterable[Layer]) -> None:
        """Refuse to train networks that lack a layer of this optimizer.

        Raises
        ------
        ValueError
            With the layer.
        """
        theirs = [leaf for network in networks for leaf in network.leaves()]
        for leaf, _ in self._slots:
            if leaf not in theirs:
                raise ValueError(
                    f"the optimizer holds {one_line(leaf)}, which is no layer of these "
                    "networks; make an optimizer of those that are trained"
                )

    def _gradients(self) -> list:
        for stack, layers in self._stacks:
            if stack.layers != layers:
                self._refuse_exchanged()
                break
        try:
            return [leaf.grads[name] for leaf, name in self._slots]
        except KeyError:
            leaf, name = next(
                slot for slot in self._slots if slot[1] not in slot[0].grads
            )
            raise RuntimeError(
                f"{type(leaf).__name__} has no gradient for {name} yet: call "
                "backward before step"
            ) from None


@fast_twin
class SGD(Optimizer):
    """Stochastic gradient descent with momentum."""

    memory = ("velocity",)

    def __init__(
        self,
        networks: Networks,
        learning_rate: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ):
        self.momentum = momentum
        super().__init__(networks, learning_rate, weight_decay)

    def _update(self, theta: Array, g: Array, velocity: Array) -> None:
        velocity *= self.momentum
        velocity += g
        theta -= self.learning_rate * velocity


@fast_twin
class Adam(Optimizer):
    """Adaptive moment estimation."""

    memory = ("mean", "square")

    def __init__(
        self,
        networks: Networks,
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        super().__init__(networks, learning_rate, weight_decay)

    def _update(self, theta: Array, g: Array, mean: Array, square: Array) -> None:
        mean += (1 - self.beta1) * (g - mean)
        square += (1 - self.beta2) * (g * g - square)
        mean_hat = mean / (1 - self.beta1**self.t)
        square_hat = square / (1 - self.beta2**self.t)
        xp = array_module(theta)
        theta -= self.learning_rate * mean_hat / (xp.sqrt(square_hat) + self.epsilon)


class WeightAverage:
    """The mean of the weights over many steps: it stands still where they still swing.

    theta_bar <- theta_bar + (theta - theta_bar) / k       at the k-th ``update``

    Make it when the networks are where they will be trained, as the optimizer.

    Source: Polyak & Juditsky, Acceleration of stochastic approximation by averaging
    (1992).

    Attributes
    ----------
    k : int
        How many times the weights were taken in.
    state : dict of str to array
        theta_bar of each parameter: ``"mean.0"``, ``"mean.1"``, ...
    """

    def __init__(self, networks: Iterable[Layer]):
        self._leaves = [leaf for network in networks for leaf in network.leaves()]
        self.k = 0
        self.state = {
            name: array_module(theta).zeros_like(theta)
            for name, theta in self._weights().items()
        }

    def update(self) -> None:
        """Take the present weights into the mean."""
        self.k += 1
        for name, theta in self._weights().items():
            self.state[name] += (theta - self.state[name]) / self.k

    def apply(self) -> None:
        """Replace the weights by their mean."""
        for name, theta in self._weights().items():
            theta[...] = self.state[name]

    def state_dict(self) -> State:
        """Copies of the mean and of k, in main memory."""
        means = {name: host_copy(array) for name, array in self.state.items()}
        return {"k": np.array(self.k), **means}

    def load_state_dict(self, state: State) -> None:
        """The inverse of ``state_dict``.

        Raises
        ------
        ValueError
            If names, shapes or dtypes are not those of ``state_dict()``, or k < 0.
        """
        check_state(state, self.state_dict())
        if state["k"] < 0:
            raise ValueError(f"the average is over {state['k']} steps")
        self.k = int(state["k"])
        for name, array in self.state.items():
            assign(array, state[name])

    def _weights(self) -> dict[str, Array]:
        weights = (theta for leaf in self._leaves for theta in leaf.params.values())
        return {f"mean.{i}": theta for i, theta in enumerate(weights)}
