"""The optimizers' flat vector: views on both sides, few kernels, arrays that are exchanged."""

import copy
import pickle

import numpy as np
import pytest
from strict_cupy import meter
from test_twins import set_gradients, small_network

from minidann import plain
from minidann.nn import Dense, Sequential
from minidann.nn.optimizers import SGD, Adam
from minidann.runtime.arrays import to_host

OPTIMIZERS = {
    "SGD": lambda networks: SGD(networks, 0.1, momentum=0.9),
    "SGD with decay": lambda networks: SGD(networks, 0.1, momentum=0.9, weight_decay=0.1),
    "Adam": lambda networks: Adam(networks, 0.1),
    "Adam with decay": lambda networks: Adam(networks, 0.1, weight_decay=0.1),
}
on_the_stand_in = pytest.mark.parametrize("place", ["stand-in"], indirect=True)
every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())


@pytest.fixture
def network(place):
    return small_network(place, np.float64)


def copies(arrays):
    """The named arrays as they are now, in main memory."""
    return {name: to_host(array).copy() for name, array in arrays.items()}


def assert_equal(arrays, expected):
    for name, array in copies(arrays).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-12, atol=1e-14, err_msg=name)


def test_all_parameters_are_views_of_one_flat_vector(place, network):
    """What is written to the vector is in the layers, in order: neither side has a copy."""
    before = copies(network.params)
    optimizer = SGD(network, 1.0)
    assert_equal(network.params, before)
    (theta,) = {id(array.base): array.base for array in network.params.values()}.values()
    theta[...] = place(np.arange(theta.size, dtype=np.float64))
    expected = np.split(
        np.arange(theta.size, dtype=np.float64),
        np.cumsum([array.size for array in before.values()])[:-1],
    )
    expected = {name: part.reshape(before[name].shape) for name, part in zip(before, expected)}
    assert_equal(network.params, expected)
    set_gradients(network, place, np.float64, 0)
    g = copies(network.grads)
    optimizer.step()
    assert_equal(network.params, {name: expected[name] - g[name] for name in g})


@every_optimizer
def test_the_memory_is_views_of_one_flat_vector_for_each_kind(place, network, make):
    optimizer = make(network)
    kinds = {name.partition(".")[0] for name in optimizer.state}
    assert kinds == set(optimizer.memory)
    assert len({id(array.base) for array in optimizer.state.values()}) == len(kinds)
    assert {name: array.shape for name, array in optimizer.state.items()} == {
        f"{kind}.{i}": theta.shape
        for kind in kinds
        for i, theta in enumerate(network.params.values())
    }


@every_optimizer
@pytest.mark.parametrize("what", ["parameters", "memory"])
def test_arrays_that_were_exchanged_are_the_ones_that_the_next_step_takes(
    place, network, make, what
):
    """By ``convert``, by another optimizer, or by whoever loads a state."""
    optimizer, other = make(network), small_network(place, np.float64)
    untouched = make(other)
    for step in range(4):
        for each in (network, other):
            set_gradients(each, place, np.float64, step)
        if step == 2 and what == "parameters":
            network.convert(lambda array: array + 1)
            for array in other.params.values():
                array += 1
        if step == 2 and what == "memory":
            for name, array in optimizer.state.items():
                optimizer.state[name] = array + 1
                untouched.state[name] += 1
        optimizer.step()
        with plain():
            untouched.step()
    assert_equal(network.params, copies(other.params))
    assert_equal(optimizer.state, copies(untouched.state))


@every_optimizer
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_a_copy_of_network_and_optimizer_trains_as_the_original(make, copied):
    """In a copy no array is a view of another any more: an update of the vector alone is lost."""
    network = small_network(to_host, np.float64)
    original = network, make(network)
    set_gradients(network, to_host, np.float64, 0)
    original[1].step()
    twin = copied(original)
    for each, optimizer in (original, twin):
        for step in (1, 2):
            set_gradients(each, to_host, np.float64, step)
            optimizer.step()
    assert_equal(twin[0].params, copies(network.params))
    assert_equal(twin[1].state, copies(original[1].state))


def spent(use):
    """[kernels, bytes sent] of a use that waits for nothing."""
    meter.reset()
    use()
    assert (meter.down, meter.syncs) == ([], 0)
    return np.array([meter.launches, sum(meter.up)])


@on_the_stand_in
@pytest.mark.parametrize(
    "name, kernels", [("SGD", 1), ("SGD with decay", 3), ("Adam", 1), ("Adam with decay", 3)]
)
def test_a_step_is_few_kernels_however_many_layers_there_are(place, name, kernels):
    """One for the update, two for the decay, and a copy of each gradient into the flat vector."""
    for layers in (2, 5):
        network = Sequential(
            [Dense(3, 3, rng=np.random.default_rng(i)) for i in range(layers)]
        ).convert(place)
        optimizer = OPTIMIZERS[name](network)
        set_gradients(network, place, np.float32, 0)
        assert spent(optimizer.step).tolist() == [kernels + 2 * layers, 0]
