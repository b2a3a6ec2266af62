"""Dropout: which units, how much the others grow, and one mask for both directions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strict_cupy import meter

from minidann.nn import Dropout
from minidann.nn.gradcheck import away_from_kinks, check_layer
from minidann.runtime.arrays import to_host

on_the_stand_in = pytest.mark.parametrize("place", ["stand-in"], indirect=True)
seeds = st.integers(0, 2**32 - 1)
rates = st.floats(0, 0.9)
images = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))


@given(seeds, rates, st.booleans(), st.booleans(), images)
def test_gradients(place, seed, rate, channels, train, shape):
    rng = np.random.default_rng(seed)
    assert check_layer(
        Dropout(rate, channels=channels, rng=rng),
        away_from_kinks(rng, shape),
        train=train,
        transfer=place,
    ).passed(1e-7)


@given(seeds, rates, st.booleans(), images)
def test_backward_uses_the_mask_of_its_forward(place, seed, rate, channels, shape):
    layer = Dropout(rate, channels=channels, rng=np.random.default_rng(seed))
    ones = place(np.ones(shape))
    np.testing.assert_array_equal(
        to_host(layer.forward(ones, train=True)), to_host(layer.backward(ones))
    )
    np.testing.assert_array_equal(to_host(layer.backward(ones)), to_host(layer.backward(ones)))


@given(seeds, st.floats(0.05, 0.9))
def test_a_unit_is_zero_or_grows_by_what_the_others_lost(place, seed, rate):
    x = np.random.default_rng(seed).standard_normal((5, 6))
    y = to_host(Dropout(rate, rng=np.random.default_rng(seed)).forward(place(x), train=True))
    np.testing.assert_allclose(y[y != 0], x[y != 0] / (1 - rate), rtol=1e-12)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.8])
def test_the_share_of_silenced_units_is_the_rate(place, rate):
    y = to_host(
        Dropout(rate, rng=np.random.default_rng(0)).forward(place(np.ones((200, 200))), train=True)
    )
    assert abs((y == 0).mean() - rate) < 0.01
    assert abs(y.mean() - 1) < 0.02


def test_every_forward_draws_anew(place):
    layer, ones = Dropout(0.5, rng=np.random.default_rng(0)), place(np.ones((10, 10)))
    first, second = (to_host(layer.forward(ones, train=True)) for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("channels", [False, True])
def test_masks_follow_the_seed_and_not_the_device(place, channels):
    """A run can then be repeated, and a GPU's compared with a CPU's."""
    layers = [Dropout(0.5, channels=channels, rng=np.random.default_rng(7)) for _ in range(2)]
    ones = np.ones((10, 3, 4, 5), np.float32)
    for _ in range(3):
        here, there = (
            layers[0].forward(ones, train=True),
            layers[1].forward(place(ones), train=True),
        )
        np.testing.assert_array_equal(here, to_host(there))


@on_the_stand_in
@pytest.mark.parametrize(
    "channels, shape, nbytes",
    [(False, (3, 4), 12), (False, (2, 3, 4, 5), 120), (True, (2, 3, 4, 5), 10)],
)
def test_a_mask_goes_to_the_device_as_one_byte_a_unit(place, channels, shape, nbytes):
    """As float32 it would be four times as much, and a channel's bit does not go for each pixel."""
    layer, x = (
        Dropout(0.5, channels=channels, rng=np.random.default_rng(0)),
        place(np.ones(shape, np.float32)),
    )
    meter.reset()
    layer.backward(layer.forward(x, train=True))
    assert (meter.up, meter.down) == ([nbytes], [])
    layer.backward(layer.forward(x))
    assert (meter.up, meter.down) == ([nbytes], [])  # and in evaluation none goes


def test_channels_fall_or_stand_whole_in_each_image(place):
    y = to_host(
        Dropout(0.5, channels=True, rng=np.random.default_rng(0)).forward(
            place(np.ones((20, 3, 4, 5))), train=True
        )
    )
    assert (y == y[:, :1, :1]).all()
    silenced = y[:, 0, 0] == 0
    assert 0.3 < silenced.mean() < 0.7 and len(np.unique(silenced, axis=0)) > 5


def test_evaluation_changes_nothing(place):
    layer, x = (
        Dropout(0.5, rng=np.random.default_rng(0)),
        np.random.default_rng(1).standard_normal((4, 4)),
    )
    layer.forward(place(x), train=True)
    np.testing.assert_array_equal(to_host(layer.forward(place(x))), x)
    np.testing.assert_array_equal(to_host(layer.backward(place(x))), x)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_rates_outside_the_half_open_interval_are_refused(rate):
    with pytest.raises(ValueError, match="the dropout rate is"):
        Dropout(rate, rng=np.random.default_rng(0))
