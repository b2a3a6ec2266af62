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

All parameters are laid end to end in one flat vector theta, of which the layers then hold views, and so are the gradients:
a step is a few operations on that vector, however many layers there are, instead of a few for each array.

Source: Polyak, Some methods of speeding up the convergence of iteration methods (1964); Kingma & Ba,
Adam (2015), algorithm 1, whose v is s here.
"""

from abc import ABC, abstractmethod
from itertools import accumulate

from minidann.backend import array_module, beside, fused, to_host
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

    Raises
    ------
    ValueError
        If there are no parameters, or not all of one precision.

    Attributes
    ----------
    t : int
        Steps taken.
    state : dict of str to array
        What the optimizer remembers from step to step, in flat vectors like theta.
    """

    vectors = ()  # names of the arrays in ``state``

    def __init__(self, networks, learning_rate, weight_decay):
        networks = [networks] if isinstance(networks, Layer) else networks
        self.learning_rate, self._weight_decay = learning_rate, weight_decay
        self._slots = [(leaf, name) for network in networks for leaf in network.leaves() for name in leaf.params]
        self.t, self.state = 0, {}
        self._flatten()

    def step(self):
        """Change every parameter in place by one step along its gradient.

        Raises
        ------
        RuntimeError
            If a layer has no gradient yet.
        """
        if any(leaf.params[name] is not view for (leaf, name), view in zip(self._slots, self._views)):
            self._flatten()  # a layer was given other arrays since: another precision, device or optimizer
        g = array_module(self._theta).concatenate([self._gradient(*slot) for slot in self._slots])
        if self._weight_decay:
            g += self._decay * self._theta
        self.t += 1
        self._update(self._theta, g)

    @abstractmethod
    def _update(self, theta, g):
        """Change the flat vector theta in place, for the flat gradient g."""

    def _flatten(self):
        """Copy all parameters into theta and let the layers hold views of it."""
        arrays = [leaf.params[name] for leaf, name in self._slots]
        dtypes = {str(array.dtype) for array in arrays}
        if len(dtypes) != 1:
            raise ValueError(f"the parameters are of precision {', '.join(sorted(dtypes)) or 'none: there are none'}; an optimizer needs some, all of one precision")
        xp = array_module(arrays[0])
        self._theta = xp.concatenate([array.ravel() for array in arrays])
        ends = list(accumulate(array.size for array in arrays))
        self._views = [self._theta[end - array.size : end].reshape(array.shape) for array, end in zip(arrays, ends)]
        for (leaf, name), view in zip(self._slots, self._views):
            leaf.params[name] = view
        self.state = {name: self._like_theta(self.state.get(name)) for name in self.vectors}
        if self._weight_decay:
            decays = [xp.full(array.size, self._weight_decay * (name == "W"), array.dtype) for (_, name), array in zip(self._slots, arrays)]
            self._decay = xp.concatenate(decays)

    def _like_theta(self, vector):
        """The vector where theta lives and in its precision; zeros if there is none yet."""
        xp = array_module(self._theta)
        if vector is None:
            return xp.zeros_like(self._theta)
        if array_module(vector) is not xp:
            vector = beside(self._theta, to_host(vector))
        return vector.astype(self._theta.dtype)

    @staticmethod
    def _gradient(leaf, name):
        if name not in leaf.grads:
            raise RuntimeError(f"{type(leaf).__name__} has no gradient for {name} yet: call backward before step")
        return leaf.grads[name].ravel()


class SGD(Optimizer):
    """Stochastic gradient descent with momentum."""

    vectors = ("velocity",)

    def __init__(self, networks, learning_rate, momentum=0.0, weight_decay=0.0):
        super().__init__(networks, learning_rate, weight_decay)
        self.momentum = momentum

    def _update(self, theta, g):
        momentum_update(theta, self.state["velocity"], g, self.learning_rate, self.momentum)


class Adam(Optimizer):
    """Adaptive moment estimation."""

    vectors = ("mean", "square")

    def __init__(self, networks, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0):
        super().__init__(networks, learning_rate, weight_decay)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def _update(self, theta, g):
        mean_share, square_share = 1 - self.beta1**self.t, 1 - self.beta2**self.t  # of the running means, which began at 0
        mu = self.learning_rate / mean_share
        adam_update(theta, self.state["mean"], self.state["square"], g, mu, 1 - self.beta1, 1 - self.beta2, square_share, self.epsilon)


@fused
def momentum_update(theta, v, g, mu, momentum):
    """SGD's formula above; changes theta and v."""
    v *= momentum
    v += g
    theta -= mu * v


@fused
def adam_update(theta, m, s, g, mu, gain1, gain2, square_share, epsilon):
    """Adam's formula above, with 1 - beta as a gain and mu already divided by the share of mhat; changes theta, m and s."""
    m += gain1 * (g - m)
    s += gain2 * (g * g - s)
    theta -= mu * m / (array_module(theta).sqrt(s / square_share) + epsilon)


class WeightAverage:
    """The mean of the weights over many steps, which stands still where the last step's weights still swing.

    theta_bar <- theta_bar + (theta - theta_bar) / k       at the k-th call of ``update``

    Make it when the networks are where they will be trained, as the optimizer.

    Source: Polyak & Juditsky, Acceleration of stochastic approximation by averaging (1992).
    """

    def __init__(self, networks):
        self._leaves = [leaf for network in networks for leaf in network.leaves()]
        theta = self._theta()
        self.mean, self.k = array_module(theta).zeros_like(theta), 0

    def update(self):
        """Take the present weights into the mean."""
        self.k += 1
        self.mean += (self._theta() - self.mean) / self.k

    def _theta(self):
        weights = [array.ravel() for leaf in self._leaves for array in leaf.params.values()]
        return array_module(weights[0]).concatenate(weights)

    def apply(self):
        """Replace the weights by their mean."""
        start = 0
        for leaf in self._leaves:
            for array in leaf.params.values():
                array[...] = self.mean[start : start + array.size].reshape(array.shape)
                start += array.size
