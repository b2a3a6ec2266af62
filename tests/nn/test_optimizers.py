"""The optimizers against their recurrences, written out, and the mean of the weights."""

import numpy as np
import pytest

from minidann.nn import BatchNorm, Dense, ReLU, Sequential
from minidann.nn.optimizers import SGD, Adam, WeightAverage
from minidann.runtime.arrays import to_host

pytestmark = pytest.mark.usefixtures("way")
STEPS = 5
DECAYED = {"0.W"}  # not b, gamma, beta
OPTIMIZERS = {
    "SGD": lambda networks: SGD(networks, 0.1, momentum=0.9),
    "SGD with decay": lambda networks: SGD(networks, 0.1, momentum=0.9, weight_decay=0.1),
    "Adam": lambda networks: Adam(networks, 0.1),
    "Adam with decay": lambda networks: Adam(networks, 0.1, weight_decay=0.1),
}
every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())


def make_network():
    """In float64, in main memory, no parameter of a special value."""
    rng = np.random.default_rng(0)
    return Sequential([Dense(2, 3, rng=rng), ReLU(), BatchNorm(3)]).convert(
        lambda array: array + rng.standard_normal(array.shape)
    )


@pytest.fixture
def network(place):
    return make_network().convert(place)


def gradients(place, network, step):
    """Set random gradients of a size that changes from step to step; return them, read-only."""
    rng, host = np.random.default_rng(step), {}
    for name, array in network.params.items():
        host[name] = ((1 + step) * rng.standard_normal(array.shape)).astype(array.dtype)
        host[name].flags.writeable = False
    g = iter(host.values())
    for leaf in network.leaves():
        leaf.grads.update({name: place(next(g)) for name in leaf.params})
    return host


def copies(network):
    """The weights as they are now, in main memory."""
    return {name: to_host(array).copy() for name, array in network.params.items()}


def assert_weights(network, expected, rtol=1e-12, atol=1e-14):
    for name, array in copies(network).items():
        np.testing.assert_allclose(array, expected[name], rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_follows_its_recurrence(place, network, momentum, weight_decay):
    optimizer = SGD(network, 0.1, momentum=momentum, weight_decay=weight_decay)
    theta, v = copies(network), dict.fromkeys(network.params, 0.0)
    for step in range(STEPS):
        optimizer.learning_rate = rate = 0.1 / (1 + step)
        for name, g in gradients(place, network, step).items():
            v[name] = (
                momentum * v[name] + g + (weight_decay * theta[name] if name in DECAYED else 0)
            )
            theta[name] = theta[name] - rate * v[name]
        optimizer.step()
        assert_weights(network, theta)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("beta1, beta2", [(0.9, 0.999), (0.5, 0.6)])
def test_adam_follows_its_recurrence(place, network, beta1, beta2, weight_decay):
    optimizer = Adam(network, 0.01, beta1=beta1, beta2=beta2, weight_decay=weight_decay)
    theta, m, s = (
        copies(network),
        dict.fromkeys(network.params, 0.0),
        dict.fromkeys(network.params, 0.0),
    )
    for t in range(1, STEPS + 1):
        optimizer.learning_rate = rate = 0.01 / t
        for name, g in gradients(place, network, t).items():
            g = g + (weight_decay * theta[name] if name in DECAYED else 0)
            m[name] = beta1 * m[name] + (1 - beta1) * g
            s[name] = beta2 * s[name] + (1 - beta2) * g**2
            theta[name] = theta[name] - rate * (m[name] / (1 - beta1**t)) / (
                np.sqrt(s[name] / (1 - beta2**t)) + 1e-8
            )
        optimizer.step()
        assert_weights(network, theta)


def test_adams_first_step_is_the_learning_rate_along_the_sign(place, network):
    before, g = copies(network), gradients(place, network, 0)
    Adam(network).step()
    assert_weights(
        network, {name: before[name] - 1e-3 * g[name] / (np.abs(g[name]) + 1e-8) for name in before}
    )


@every_optimizer
def test_weights_change_in_place_and_keep_their_precision(place, network, make):
    network.convert(lambda array: array.astype(np.float32))
    optimizer = make(network)
    held = dict(network.params)
    for step in range(2):
        gradients(place, network, step)
        optimizer.step()
    assert all(
        array is held[name] and array.dtype == np.float32 for name, array in network.params.items()
    )
    assert all(
        array.dtype == np.float32 and type(array) is type(network.params["0.W"])
        for array in optimizer.state.values()
    )


@every_optimizer
def test_gradients_are_left_as_they_were(place, network, make):
    kept = {name: array.copy() for name, array in gradients(place, network, 0).items()}
    make(network).step()
    assert all(np.array_equal(to_host(network.grads[name]), array) for name, array in kept.items())


def test_several_networks_each_take_their_own_part(place):
    shapes = ((2, 3), (3, 1), (1, 4))
    networks = [
        Sequential([Dense(a, b, rng=np.random.default_rng(a))]).convert(
            lambda array: place(array.astype(np.float64))
        )
        for a, b in shapes
    ]
    before, g = (
        [copies(network) for network in networks],
        [gradients(place, network, i) for i, network in enumerate(networks)],
    )
    SGD(networks, 1.0).step()
    for network, theta, gradient in zip(networks, before, g):
        assert_weights(network, {name: theta[name] - gradient[name] for name in theta})


def test_weights_converted_after_the_optimizer_was_made_are_the_ones_that_move(place):
    dense = Dense(2, 3, rng=np.random.default_rng(0))
    optimizer = SGD(dense, 1.0)
    dense.convert(lambda array: place(array.astype(np.float64)))
    before = copies(dense)
    g = gradients(place, dense, 0)
    optimizer.step()
    assert_weights(dense, {name: before[name] - g[name] for name in before})


def six_steps(make, network, place, then=None):
    """(network, optimizer) after six steps; before the last three, ``then`` converts it."""
    optimizer = make(network.convert(place))
    for step in range(6):
        if step == 3 and then:
            network.convert(lambda array: then(array.copy()))
            place = then
        gradients(place, network, step)
        optimizer.step()
    return network, optimizer


@every_optimizer
def test_an_optimizer_keeps_its_memory_when_the_network_moves(place, make):
    """From main memory to the device and back: as if it had never moved, to the last digits."""
    expected, stayed = six_steps(make, make_network(), to_host)
    for start, end in ((to_host, place), (place, to_host)):
        network, optimizer = six_steps(make, make_network(), start, end)
        assert_weights(network, copies(expected), rtol=1e-9, atol=1e-12)
        assert optimizer.t == 6 and optimizer.state.keys() == stayed.state.keys() != set()
        for name, vector in optimizer.state.items():
            assert type(vector) is type(end(np.zeros(1)))
            np.testing.assert_allclose(to_host(vector), stayed.state[name], rtol=1e-9, atol=1e-12)


@every_optimizer
@pytest.mark.parametrize("first, then", [(np.float32, np.float64), (np.float64, np.float32)])
def test_an_optimizer_keeps_its_memory_when_the_precision_changes(place, make, first, then):
    expected, stayed = six_steps(make, make_network(), to_host)
    network, optimizer = six_steps(
        make,
        make_network(),
        lambda array: place(array).astype(first),
        lambda array: place(array).astype(then),
    )
    assert_weights(network, copies(expected), rtol=1e-4, atol=1e-4)
    assert {array.dtype for array in (*network.params.values(), *optimizer.state.values())} == {
        np.dtype(then)
    }
    for name, vector in optimizer.state.items():
        np.testing.assert_allclose(to_host(vector), stayed.state[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "part",
    [lambda network: network, lambda network: network.layers[0]],
    ids=["the same network", "a part of it"],
)
def test_two_optimizers_in_turn_both_move_the_network(place, network, part):
    """Neither loses what the other has done, nor what it remembers itself."""
    optimizers = [SGD(network, 0.1, momentum=0.9), SGD(part(network), 0.01, momentum=0.5)]
    theta, v = copies(network), [dict.fromkeys(network.params, 0.0) for _ in optimizers]
    moved = [
        set(network.params),
        {"0.W", "0.b"} if part(network) is not network else set(network.params),
    ]
    for step in range(6):
        g, i = gradients(place, network, step), step % 2
        optimizers[i].step()
        for name in moved[i]:
            v[i][name] = (0.9, 0.5)[i] * v[i][name] + g[name]
            theta[name] = theta[name] - (0.1, 0.01)[i] * v[i][name]
        assert_weights(network, theta)


@every_optimizer
def test_t_counts_the_steps(place, network, make):
    optimizer = make(network)
    for t in range(1, 4):
        gradients(place, network, t)
        assert optimizer.t == t - 1
        optimizer.step()
        assert optimizer.t == t


def test_a_step_before_any_backward_says_so(network):
    with pytest.raises(RuntimeError, match="Dense has no gradient for W yet"):
        Adam(network).step()


def test_a_weight_average_is_the_mean_of_what_it_took_in(place, network):
    average = WeightAverage([network])
    taken = []
    for step in range(4):
        for array in network.params.values():
            array += place(np.random.default_rng(step).standard_normal(array.shape))
        average.update()
        taken.append(copies(network))
    held = dict(network.params)
    average.apply()
    assert_weights(
        network,
        {name: np.mean([theta[name] for theta in taken], axis=0) for name in network.params},
    )
    assert all(network.params[name] is array for name, array in held.items())


def test_a_weight_average_of_float32_stays_float32(place, network):
    network.convert(lambda array: array.astype(np.float32))
    average = WeightAverage([network])
    for _ in range(2):
        average.update()
    held = dict(network.params)
    average.apply()
    assert all(
        mean.dtype == np.float32 and type(mean) is type(held["0.W"])
        for mean in average.state.values()
    )
    assert all(
        network.params[name] is array and array.dtype == np.float32 for name, array in held.items()
    )


def test_nothing_to_train_is_said():
    with pytest.raises(ValueError, match="there are none"):
        SGD(Sequential([ReLU()]), 0.1)


def test_two_precisions_are_not_mixed_silently():
    single, double = (
        Dense(2, 3, rng=np.random.default_rng(0)),
        Dense(2, 3, rng=np.random.default_rng(0)).convert(lambda array: array.astype(np.float64)),
    )
    with pytest.raises(ValueError, match="float32, float64"):
        SGD([single, double], 0.1)
