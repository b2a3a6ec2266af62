"""Where the first number that is not finite arose."""

import numpy as np
import pytest

from minidann.nn import Dense, ReLU, Sequential
from minidann.runtime.divergence import Origin, in_forward, in_weights, is_finite


@pytest.fixture
def networks(place):
    """Features of two layers with weights, one of them in a stack within the stack, and a head."""
    rng = np.random.default_rng(0)
    inner = Sequential([ReLU(), Dense(3, 3, rng=rng)])
    return {
        "features": Sequential([Dense(2, 3, rng=rng), inner]).convert(place),
        "label_head": Sequential([Dense(3, 2, rng=rng)]).convert(place),
    }


def forward(networks, x):
    return lambda: networks["label_head"].forward(networks["features"].forward(x, True), True)


@pytest.mark.parametrize(
    "number, finite", [(0, True), (3e38, True), (np.inf, False), (np.nan, False)]
)
def test_numbers_whose_sum_overflows_are_finite(place, number, finite):
    assert is_finite(place(np.full(4, number, np.float32))) is finite


def test_of_weights_it_is_those_nearest_to_the_losses(networks):
    assert in_weights(networks) == Origin()
    networks["features"].layers[0].params["b"][0] = np.nan
    assert in_weights(networks).what == "it left NaN or infinity in b of features.0, Dense(2, 3)"
    networks["features"].layers[1].layers[1].params["W"][0, 1] = np.inf
    assert in_weights(networks).what == "it left NaN or infinity in W of features.1.1, Dense(3, 3)"
    networks["label_head"].layers[0].params["W"][0, 1] = np.inf
    assert in_weights(networks).what == "it left no layer with finite weights"


def test_the_first_output_is_named_and_the_layers_are_as_before(networks, place):
    x = place(np.ones((4, 2), np.float32))
    assert in_forward(networks, forward(networks, x)) == Origin()
    networks["features"].layers[1].layers[1].params["b"][...] = np.inf
    origin = in_forward(networks, forward(networks, x))
    assert origin.what == "the output of features.1.1, Dense(3, 3), holds NaN or infinity"
    assert not [one for net in networks.values() for one in net.leaves() if "forward" in vars(one)]


def test_an_input_that_is_not_finite_is_told_from_a_layer_that_is_wrong(networks, place):
    x = np.ones((4, 2), np.float32)
    x[3, 1] = np.nan
    origin = in_forward(networks, forward(networks, place(x)))
    assert origin.what == "the input of features.0, Dense(2, 3), holds NaN or infinity"
    assert origin.remedy != Origin().remedy


def test_a_forward_of_the_layers_own_stays(networks, place):
    """Someone may have put a function of their own in its place."""
    layer, calls = networks["features"].layers[0], []
    right = layer.forward
    layer.forward = own = lambda x, train=False: calls.append(1) or right(x, train)
    in_forward(networks, forward(networks, place(np.ones((4, 2), np.float32))))
    assert calls == [1] and layer.forward is own
