"""What every layer promises, and the gradients of those with little more to test."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strict_cupy import meter

from minidann.nn import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GradientReversal,
    MaxPool2D,
    ReLU,
    Sequential,
    Sigmoid,
)
from minidann.nn.gradcheck import away_from_kinks, check_layer
from minidann.nn.initializers import glorot_uniform
from minidann.runtime.arrays import to_host

RNG = np.random.default_rng
LAYERS = {
    "Dense": (lambda: Dense(3, 4, rng=RNG(0)), (6, 3)),
    "Conv2D": (lambda: Conv2D(2, 3, 3, rng=RNG(0)), (4, 5, 4, 2)),
    "Conv2D strided": (lambda: Conv2D(2, 3, 3, stride=2, padding=1, rng=RNG(0)), (4, 5, 4, 2)),
    "Conv2D valid": (lambda: Conv2D(2, 3, 2, padding="valid", rng=RNG(0)), (4, 5, 4, 2)),
    "MaxPool2D": (lambda: MaxPool2D(2), (4, 5, 4, 2)),
    "MaxPool2D overlapping": (lambda: MaxPool2D(3, stride=2, padding="same"), (4, 5, 4, 2)),
    "ReLU": (ReLU, (6, 3)),
    "Sigmoid": (Sigmoid, (6, 3)),
    "Flatten": (Flatten, (4, 5, 4, 2)),
    "BatchNorm": (lambda: BatchNorm(3), (6, 3)),
    "BatchNorm of images": (lambda: BatchNorm(2, domains=2), (4, 5, 4, 2)),
    "Dropout": (lambda: Dropout(0.5, rng=RNG(0)), (6, 3)),
    "Dropout of channels": (lambda: Dropout(0.5, channels=True, rng=RNG(0)), (4, 5, 4, 2)),
    "GradientReversal": (lambda: GradientReversal(0.3), (6, 3)),
    "Sequential": (lambda: Sequential([Dense(3, 4, rng=RNG(0)), ReLU(), BatchNorm(4)]), (6, 3)),
}
on_the_stand_in = pytest.mark.parametrize("place", ["stand-in"], indirect=True)
every_layer = pytest.mark.parametrize("make, shape", LAYERS.values(), ids=LAYERS.keys())
modes = pytest.mark.parametrize("train", [True, False], ids=["train", "evaluation"])
shapes = st.one_of(
    st.tuples(st.integers(1, 6), st.integers(1, 5)), st.tuples(*[st.integers(1, 4)] * 4)
)
seeds = st.integers(0, 2**32 - 1)
pytestmark = pytest.mark.usefixtures("way")


def read_only(rng, shape):
    """Random numbers that cannot be changed, to compare with what ``place`` takes elsewhere."""
    array = rng.standard_normal(shape)
    array.flags.writeable = False
    return array


def host(arrays):
    """Copies of a layer's named arrays, in main memory."""
    return {name: to_host(array).copy() for name, array in arrays.items()}


@every_layer
@modes
def test_neither_x_nor_dy_is_changed(place, make, shape, train):
    layer, rng = make().convert(place), RNG(1)
    x_before = read_only(rng, shape)
    x = place(x_before)
    y = layer.forward(x, train)
    dy_before = read_only(rng, y.shape)
    dy = place(dy_before)
    layer.backward(dy)
    layer.parameter_gradients(dy)
    assert np.array_equal(to_host(x), x_before) and np.array_equal(to_host(dy), dy_before)


@every_layer
@modes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_precision_and_the_device_that_go_in_come_out(place, make, shape, train, dtype):
    layer, x = (
        make().convert(lambda array: place(array.astype(dtype))),
        place(RNG(1).standard_normal(shape).astype(dtype)),
    )
    y = layer.forward(x, train)
    dx = layer.backward(place(RNG(2).standard_normal(y.shape).astype(dtype)))
    arrays = (y, dx, *layer.grads.values(), *layer.params.values(), *layer.state.values())
    assert {array.dtype for array in arrays} == {np.dtype(dtype)} and {
        type(array) for array in arrays
    } == {type(x)}


@on_the_stand_in
@pytest.mark.parametrize("name", LAYERS)
@modes
def test_no_layer_waits_for_the_device_or_sends_it_more_than_a_mask(place, way, name, train):
    """CuPy's ``sliding_window_view`` would do both, and so would a look at a value.

    Only where the lesson stacks the nine pixels of a window, CuPy sends their addresses.
    """
    make, shape = LAYERS[name]
    layer, x = make().convert(place), place(RNG(1).standard_normal(shape))
    dy = place(RNG(2).standard_normal(make().forward(to_host(x)).shape))
    meter.reset()
    layer.forward(x, train)
    layer.backward(dy)
    masks = {"Dropout": [6 * 3], "Dropout of channels": [4 * 2]}.get(name, []) if train else []
    addresses = [72, 72] if (way, name) == ("plain", "MaxPool2D overlapping") else []
    assert (meter.up, meter.down, meter.syncs) == (masks + addresses, [], 0)


@every_layer
def test_gradients_have_the_shapes_of_what_they_belong_to(place, make, shape):
    layer = make().convert(place)
    y = layer.forward(place(RNG(1).standard_normal(shape)), train=True)
    assert layer.backward(place(np.ones(y.shape))).shape == shape
    assert {name: array.shape for name, array in layer.grads.items()} == {
        name: array.shape for name, array in layer.params.items()
    }


@every_layer
def test_gradients_are_assigned_not_added_up(place, make, shape):
    layer, x = make().convert(place), place(RNG(1).standard_normal(shape))
    dy = place(RNG(2).standard_normal(layer.forward(x).shape))
    first, once = to_host(layer.backward(dy)), host(layer.grads)
    np.testing.assert_array_equal(to_host(layer.backward(dy)), first)
    assert all(np.array_equal(to_host(layer.grads[name]), array) for name, array in once.items())


@every_layer
def test_parameter_gradients_are_those_of_backward(place, make, shape):
    layer, x = make().convert(place), place(RNG(1).standard_normal(shape))
    dy = place(RNG(2).standard_normal(layer.forward(x, train=True).shape))
    layer.backward(dy)
    expected = host(layer.grads)
    for leaf in layer.leaves():
        leaf.grads.clear()
    layer.parameter_gradients(dy)
    assert layer.grads.keys() == expected.keys()
    assert all(
        np.array_equal(to_host(layer.grads[name]), array) for name, array in expected.items()
    )


@given(seeds, st.integers(1, 6), st.integers(1, 5), st.integers(1, 5))
def test_dense_gradients(place, seed, n, d, m):
    rng = RNG(seed)
    assert check_layer(Dense(d, m, rng=rng), rng.standard_normal((n, d)), transfer=place).passed(
        1e-7
    )


@given(seeds, shapes, st.sampled_from([ReLU, Sigmoid, Flatten]), st.booleans())
def test_elementwise_gradients(place, seed, shape, layer, train):
    assert check_layer(
        layer(), 3 * away_from_kinks(RNG(seed), shape), train=train, transfer=place
    ).passed(1e-7)


@given(seeds, shapes, st.floats(-3, 3).filter(lambda lam: abs(lam) > 1e-3))
def test_the_reversal_is_the_identity_whose_gradient_is_minus_lam_times_the_true_one(
    place, seed, shape, lam
):
    layer, x = GradientReversal(lam), away_from_kinks(RNG(seed), shape)
    assert check_layer(layer, x, input_factor=-lam, transfer=place).passed(1e-7)
    np.testing.assert_array_equal(to_host(layer.forward(place(x))), x)
    np.testing.assert_array_equal(to_host(layer.backward(place(x))), -lam * x)


def test_lam_may_change_before_each_step(place):
    layer = GradientReversal()
    gradients = []
    for layer.lam in (0.0, 2.0, -1.0):
        layer.forward(place(np.ones(2)), train=True)
        gradients.append(to_host(layer.backward(place(np.array([1.0, -3.0])))))
    np.testing.assert_array_equal(gradients, [[0, 0], [-2, 6], [1, -3]])


@given(seeds, st.integers(1, 5), st.lists(st.integers(1, 4), min_size=2, max_size=4))
def test_sequential_gradients(place, seed, n, widths):
    rng = RNG(seed)
    layers = [
        layer
        for a, b in pairwise(widths)
        for layer in (Dense(a, b, rng=rng, init=glorot_uniform), Sigmoid())
    ]
    assert check_layer(
        Sequential(layers), rng.standard_normal((n, widths[0])), epsilon=1e-4, transfer=place
    ).passed(1e-7)


def test_gradients_pass_through_an_image_network(place):
    rng = RNG(0)
    layers = [Conv2D(2, 3, 3, rng=rng), Sigmoid(), MaxPool2D(2), Flatten(), Dense(12, 3, rng=rng)]
    assert check_layer(
        Sequential(layers), rng.standard_normal((3, 4, 4, 2)), transfer=place
    ).passed(1e-7)


def test_dense_is_a_matrix_product(place):
    layer = Dense(2, 3, rng=RNG(0))
    layer.params.update(
        W=place(np.array([[1.0, 2, 3], [4, 5, 6]])), b=place(np.array([10.0, 20, 30]))
    )
    np.testing.assert_array_equal(
        to_host(layer.forward(place(np.array([[1.0, -1]])))), [[7, 17, 27]]
    )


def test_relu_cuts_at_zero_and_takes_no_gradient_there(place):
    layer = ReLU()
    np.testing.assert_array_equal(to_host(layer.forward(place(np.array([-2.0, 0, 3])))), [0, 0, 3])
    np.testing.assert_array_equal(to_host(layer.backward(place(np.array([5.0, 6, 7])))), [0, 0, 7])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_saturates_without_overflow(place, dtype):
    with np.errstate(over="raise", invalid="raise"):
        y = Sigmoid().forward(place(np.array([-1e4, -1, 0, 1, 1e4], dtype)))
    np.testing.assert_allclose(
        to_host(y), [0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1], rtol=1e-6
    )


def test_flatten_keeps_c_order(place):
    x = place(np.arange(24).reshape(2, 2, 3, 2))
    np.testing.assert_array_equal(to_host(Flatten().forward(x)[1]), np.arange(12, 24))


def test_a_sequential_names_its_arrays_by_place():
    network = Sequential([Dense(2, 3, rng=RNG(0)), ReLU(), BatchNorm(3)])
    assert list(network.params) == ["0.W", "0.b", "2.gamma", "2.beta"] and list(network.state) == [
        "2.mean",
        "2.var",
    ]
    assert network.params["0.W"] is network.layers[0].params["W"]
    assert list(network.leaves()) == network.layers


def test_layers_below_the_first_trained_one_are_spared_the_way_back(place):
    flatten = Flatten()
    flatten.backward = None
    network = Sequential([flatten, Dense(4, 3, rng=RNG(0)), ReLU()]).convert(place)
    network.forward(place(np.ones((2, 2, 2))), train=True)
    network.parameter_gradients(place(np.ones((2, 3))))
    assert network.grads["1.W"].shape == (4, 3)


def test_a_network_without_parameters_has_no_gradients(place):
    network = Sequential([Flatten(), ReLU()]).convert(place)
    network.forward(place(np.ones((2, 2, 2))))
    network.parameter_gradients(place(np.ones((2, 4))))
    assert network.grads == {}
