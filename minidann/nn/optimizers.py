"""Optimizers: how a gradient g changes the parameters theta.

    SGD with momentum      v <- momentum v + g                    theta <- theta - mu v

    Adam                   m <- beta1 m + (1 - beta1) g           a running mean of g
                           s <- beta2 s + (1 - beta2) g^2         and of its square
                           theta <- theta - mu mhat / (sqrt(shat) + epsilon)
                           mhat = m / (1 - beta1^t)   shat = s / (1 - beta2^t)   at step t = 1, 2, ...

    L2 weight decay        g <- g + weight_decay W                for weights W, never for biases or batch-norm

One optimizer holds all the networks that are trained together. In DANN this matters:
the reversed gradient reaches the features already multiplied by lambda and *added* to
the label head's. Adam divides every gradient by its own size, so a second Adam for the
reversed part would divide lambda away.

All parameters are laid end to end in one flat vector theta, of which the layers then
hold views. The gradients of the small ones are laid end to end too, so that a step is a
few operations however many layers there are; a large one is used as it lies.

Source: Polyak, Some methods of speeding up the convergence of iteration methods (1964);
Kingma & Ba, Adam (2015), algorithm 1, whose v is s here.
"""

from abc import ABC, abstractmethod
from itertools import accumulate

import numpy as np

from minidann.nn.layer import Layer
from minidann.runtime.arrays import array_module, fused, to_device_of, to_host
from minidann.runtime.threads import all_cores, parallel_map

BLOCK = (
    1 << 16
)  # numbers updated at a time: few enough to stay in the cache from the first operation to the last


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
        self._slots = [
            (leaf, name)
            for network in networks
            for leaf in network.leaves()
            for name in leaf.params
        ]
        self.t, self.state = 0, {}
        self._flatten()

    @all_cores()
    def step(self):
        """Change every parameter in place by one step along its gradient.

        Raises
        ------
        RuntimeError
            If a layer has no gradient yet.
        """
        if any(
            leaf.params[name] is not view
            for (leaf, name), view in zip(self._slots, self._views)
        ):
            self._flatten()  # a layer was given other arrays since: another precision, device or optimizer
        gradients = [self._gradient(*slot) for slot in self._slots]
        self.t += 1
        for view, gradient in zip(self._g_views, gradients):
            view[...] = gradient
        for start, g in [
            (0, self._g),
            *zip(self._starts, gradients[len(self._g_views) :]),
        ]:
            self._step_part(start, g)

    def _step_part(self, start, g):
        """One step of theta[start : start + len(g)], block by block."""
        size = BLOCK if array_module(g) is np else max(1, len(g))

        def step_block(at):
            part = g[at : at + size]
            block = slice(start + at, start + at + len(part))
            if self._weight_decay:
                part = part + self._decay[block] * self._theta[block]
            self._update(
                self._theta[block],
                part,
                *(self.state[name][block] for name in self.vectors),
            )

        blocks = range(0, len(g), size)
        if len(blocks) >= 16:
            parallel_map(step_block, blocks)
            return
        for at in blocks:  # done before another thread would have taken over
            step_block(at)

    @abstractmethod
    def _update(self, theta, g, *vectors):
        """Change part of the flat vector theta, and of the optimizer's own, in place, for the gradient g."""

    def _flatten(self):
        """Copy all parameters into theta and let the layers hold views of it: the small ones first, then each large one."""
        self._slots.sort(key=lambda slot: slot[0].params[slot[1]].size > BLOCK)
        arrays = [leaf.params[name] for leaf, name in self._slots]
        dtypes = sorted({str(array.dtype) for array in arrays})
        if len(dtypes) != 1:
            raise ValueError(
                f"the parameters are of precision {', '.join(dtypes) or 'none: there are none'}; give networks with some, all of one precision"
            )
        xp = array_module(arrays[0])
        self._theta = xp.concatenate([array.ravel() for array in arrays])
        stops = list(accumulate(array.size for array in arrays))
        starts = [stop - array.size for stop, array in zip(stops, arrays)]
        self._views = [
            self._theta[start:stop].reshape(array.shape)
            for start, stop, array in zip(starts, stops, arrays)
        ]
        for (leaf, name), view in zip(self._slots, self._views):
            leaf.params[name] = view
        # a GPU lays the large gradients end to end as well: one kernel for all of them
        # is worth the copy
        small = (
            sum(array.size <= BLOCK for array in arrays) if xp is np else len(arrays)
        )
        self._starts = starts[small:]
        self._g = xp.empty(
            sum(array.size for array in arrays[:small]), self._theta.dtype
        )
        self._g_views = [
            self._g[start:stop] for start, stop in zip(starts[:small], stops)
        ]
        self.state = {
            name: self._like_theta(self.state.get(name)) for name in self.vectors
        }
        if self._weight_decay:
            decays = [
                xp.full(array.size, self._weight_decay * (name == "W"), array.dtype)
                for (_, name), array in zip(self._slots, arrays)
            ]
            self._decay = xp.concatenate(decays)

    def _like_theta(self, vector):
        """The vector where theta lives and in its precision; zeros if there is none yet."""
        xp = array_module(self._theta)
        if vector is None:
            return xp.zeros_like(self._theta)
        if array_module(vector) is not xp:
            vector = to_device_of(self._theta, to_host(vector))
        return vector.astype(self._theta.dtype)

    @staticmethod
    def _gradient(leaf, name):
        if name not in leaf.grads:
            raise RuntimeError(
                f"{type(leaf).__name__} has no gradient for {name} yet: call backward before step"
            )
        return leaf.grads[name].ravel()


class SGD(Optimizer):
    """Stochastic gradient descent with momentum."""

    vectors = ("velocity",)

    def __init__(self, networks, learning_rate, momentum=0.0, weight_decay=0.0):
        super().__init__(networks, learning_rate, weight_decay)
        self.momentum = momentum

    def _update(self, theta, g, velocity):
        momentum_update(theta, velocity, g, self.learning_rate, self.momentum)


class Adam(Optimizer):
    """Adaptive moment estimation."""

    vectors = ("mean", "square")

    def __init__(
        self,
        networks,
        learning_rate=1e-3,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        weight_decay=0.0,
    ):
        super().__init__(networks, learning_rate, weight_decay)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def _update(self, theta, g, mean, square):
        mean_share, square_share = (
            1 - self.beta1**self.t,
            1 - self.beta2**self.t,
        )  # of the running means, which began at 0
        adam_update(
            theta,
            mean,
            square,
            g,
            self.learning_rate / mean_share,
            1 - self.beta1,
            1 - self.beta2,
            square_share,
            self.epsilon,
        )


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

    Source: Polyak & Juditsky, Acceleration of stochastic approximation by averaging
    (1992).
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
        weights = [
            array.ravel() for leaf in self._leaves for array in leaf.params.values()
        ]
        return array_module(weights[0]).concatenate(weights)

    def apply(self):
        """Replace the weights by their mean."""
        start = 0
        for leaf in self._leaves:
            for array in leaf.params.values():
                array[...] = self.mean[start : start + array.size].reshape(array.shape)
                start += array.size
