"""The optimizers against their recurrences, written out, and the mean of the weights."""

import numpy as np
import pytest

from minidann.nn import BatchNorm, Dense, ReLU, Sequential
from minidann.nn.optimizers import SGD, Adam, WeightAverage

STEPS = 5
DECAYED = {"0.W"}  # not b, gamma, beta


@pytest.fixture
def network():
    rng = np.random.default_rng(0)
    return Sequential([Dense(2, 3, rng=rng), ReLU(), BatchNorm(3)]).convert(lambda array: array + rng.standard_normal(array.shape))


def gradients(network, step):
    """Set and return random gradients, of a size that changes from step to step."""
    rng = np.random.default_rng(step)
    for leaf in network.leaves():
        leaf.grads.update({name: (1 + step) * rng.standard_normal(array.shape) for name, array in leaf.params.items()})
    return network.grads


def copies(network):
    return {name: array.copy() for name, array in network.params.items()}


def assert_weights(network, expected):
    for name, array in network.params.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-12, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_follows_its_recurrence(network, momentum, weight_decay):
    optimizer = SGD(network, 0.1, momentum=momentum, weight_decay=weight_decay)
    theta, v = copies(network), dict.fromkeys(network.params, 0.0)
    for step in range(STEPS):
        optimizer.learning_rate = rate = 0.1 / (1 + step)
        for name, g in gradients(network, step).items():
            v[name] = momentum * v[name] + g + (weight_decay * theta[name] if name in DECAYED else 0)
            theta[name] = theta[name] - rate * v[name]
        optimizer.step()
        assert_weights(network, theta)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("beta1, beta2", [(0.9, 0.999), (0.5, 0.6)])
def test_adam_follows_its_recurrence(network, beta1, beta2, weight_decay):
    optimizer = Adam(network, 0.01, beta1=beta1, beta2=beta2, weight_decay=weight_decay)
    theta, m, s = copies(network), dict.fromkeys(network.params, 0.0), dict.fromkeys(network.params, 0.0)
    for t in range(1, STEPS + 1):
        optimizer.learning_rate = rate = 0.01 / t
        for name, g in gradients(network, t).items():
            g = g + (weight_decay * theta[name] if name in DECAYED else 0)
            m[name] = beta1 * m[name] + (1 - beta1) * g
            s[name] = beta2 * s[name] + (1 - beta2) * g**2
            theta[name] = theta[name] - rate * (m[name] / (1 - beta1**t)) / (np.sqrt(s[name] / (1 - beta2**t)) + 1e-8)
        optimizer.step()
        assert_weights(network, theta)


def test_adams_first_step_is_the_learning_rate_along_the_sign(network):
    before, g = copies(network), gradients(network, 0)
    Adam(network).step()
    assert_weights(network, {name: before[name] - 1e-3 * g[name] / (np.abs(g[name]) + 1e-8) for name in before})


@pytest.mark.parametrize("make", [lambda networks: SGD(networks, 0.1, momentum=0.9), Adam])
def test_weights_change_in_place_and_keep_their_precision(network, make):
    network.convert(lambda array: array.astype(np.float32))
    held = dict(network.params)
    optimizer = make(network)
    for step in range(2):
        gradients(network, step)
        optimizer.step()
    assert all(array is held[name] and array.dtype == np.float32 for name, array in network.params.items())


@pytest.mark.parametrize("make", [lambda networks: SGD(networks, 0.1, momentum=0.9, weight_decay=0.1), lambda networks: Adam(networks, weight_decay=0.1)])
def test_gradients_are_left_as_they_were(network, make):
    kept = {name: array.copy() for name, array in gradients(network, 0).items()}
    for array in network.grads.values():
        array.flags.writeable = False
    make(network).step()
    assert all(np.array_equal(network.grads[name], array) for name, array in kept.items())


def test_several_networks_each_take_their_own_part():
    networks = [Sequential([Dense(a, b, rng=np.random.default_rng(a))]).convert(lambda array: array.astype(np.float64)) for a, b in ((2, 3), (3, 1), (1, 4))]
    before, g = [copies(network) for network in networks], [dict(gradients(network, i)) for i, network in enumerate(networks)]
    SGD(networks, 1.0).step()
    for network, theta, gradient in zip(networks, before, g):
        assert_weights(network, {name: theta[name] - gradient[name] for name in theta})


def test_weights_converted_after_the_optimizer_was_made_are_the_ones_that_move():
    dense = Dense(2, 3, rng=np.random.default_rng(0))
    optimizer = SGD(dense, 1.0)
    dense.convert(lambda array: array.astype(np.float64))
    before = copies(dense)
    g = gradients(dense, 0)
    optimizer.step()
    assert_weights(dense, {name: before[name] - g[name] for name in before})


def test_a_step_before_any_backward_says_so(network):
    with pytest.raises(RuntimeError, match="Dense has no gradient for W yet"):
        Adam(network).step()


def test_a_weight_average_is_the_mean_of_what_it_took_in(network):
    average = WeightAverage([network])
    taken = []
    for step in range(4):
        for array in network.params.values():
            array += np.random.default_rng(step).standard_normal(array.shape)
        average.update()
        taken.append(copies(network))
    held = dict(network.params)
    average.apply()
    assert_weights(network, {name: np.mean([theta[name] for theta in taken], axis=0) for name in network.params})
    assert all(network.params[name] is array for name, array in held.items())
