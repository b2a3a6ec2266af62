"""Optimizers: how a gradient g changes the parameters theta.

    SGD with momentum      v <- momentum v + g                    theta <- theta - mu v

    Adam                   m <- beta1 m + (1 - beta1) g           a running mean of g
                           s <- beta2 s + (1 - beta2) g^2         and of its square
                           theta <- theta - mu mhat / (sqrt(shat) + epsilon)
                           mhat = m / (1 - beta1^t)   shat = s / (1 - beta2^t)   at step t = 1, 2, ...

    L2 weight decay        g <- g + weight_decay W                for weights W, never for biases or batch-norm

One optimizer holds all the networks that are trained together. In DANN this matters: the reversed
gradient reaches the features already multiplied by lambda and *added* to the label head's. Adam
divides every gradient by its own size, so a second Adam for the reversed part would divide lambda away.

All gradients are laid end to end in one flat vector: a step is then a dozen operations on that
vector, however many layers there are, instead of a dozen for each array.

Source: Polyak, Some methods of speeding up the convergence of iteration methods (1964); Kingma & Ba,
Adam (2015), algorithm 1, whose v is s here.
"""

from abc import ABC, abstractmethod

from minidann.backend import array_module
from minidann.nn.layer import Layer


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
    """

    def __init__(self, networks, learning_rate, weight_decay):
        networks = [networks] if isinstance(networks, Layer) else networks
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self._slots = [(leaf, name) for network in networks for leaf in network.leaves() for name in leaf.params]

    def step(self):
        """Change every parameter in place by one step along its gradient.

        Raises
        ------
        RuntimeError
            If a layer has no gradient yet.
        """
        change = self._change(self._gather())
        start = 0
        for leaf, name in self._slots:
            parameter = leaf.params[name]
            parameter -= change[start : start + parameter.size].reshape(parameter.shape)
            start += parameter.size

    @abstractmethod
    def _change(self, g):
        """What is subtracted from theta, for the flat gradient g."""

    def _gather(self):
        return array_module(self._slots[0][0].params[self._slots[0][1]]).concatenate([self._gradient(*slot) for slot in self._slots])

    def _gradient(self, leaf, name):
        if name not in leaf.grads:
            raise RuntimeError(f"{type(leaf).__name__} has no gradient for {name} yet: call backward before step")
        g = leaf.grads[name]
        if self.weight_decay and name == "W":
            g = g + self.weight_decay * leaf.params[name]
        return g.ravel()


class SGD(Optimizer):
    """Stochastic gradient descent with momentum."""

    def __init__(self, networks, learning_rate, momentum=0.0, weight_decay=0.0):
        super().__init__(networks, learning_rate, weight_decay)
        self.momentum = momentum
        self._velocity = 0.0

    def _change(self, g):
        self._velocity = self.momentum * self._velocity + g
        return self.learning_rate * self._velocity


class Adam(Optimizer):
    """Adaptive moment estimation."""

    def __init__(self, networks, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0):
        super().__init__(networks, learning_rate, weight_decay)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self._mean = self._square = 0.0
        self._t = 0

    def _change(self, g):
        self._t += 1
        self._mean = self.beta1 * self._mean + (1 - self.beta1) * g
        self._square = self.beta2 * self._square + (1 - self.beta2) * (g * g)
        mean_hat = self._mean / (1 - self.beta1**self._t)
        square_hat = self._square / (1 - self.beta2**self._t)
        return self.learning_rate * mean_hat / (array_module(g).sqrt(square_hat) + self.epsilon)


class WeightAverage:
    """The mean of the weights over many steps, which stands still where the last step's weights still swing.

    theta_bar <- theta_bar + (theta - theta_bar) / k       at the k-th call of ``update``

    Source: Polyak & Juditsky, Acceleration of stochastic approximation by averaging (1992).
    """

    def __init__(self, networks):
        self._leaves = [leaf for network in networks for leaf in network.leaves()]
        self._mean, self._k = 0.0, 0

    def update(self):
        """Take the present weights into the mean."""
        self._k += 1
        weights = [array.ravel() for leaf in self._leaves for array in leaf.params.values()]
        theta = array_module(weights[0]).concatenate(weights)
        self._mean = self._mean + (theta - self._mean) / self._k

    def apply(self):
        """Replace the weights by their mean."""
        start = 0
        for leaf in self._leaves:
            for array in leaf.params.values():
                array[...] = self._mean[start : start + array.size].reshape(array.shape)
                start += array.size
