"""Dropout: which units, how much the others grow, and one mask for both directions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann.nn import Dropout
from minidann.nn.gradcheck import away_from_kinks, check_layer

seeds = st.integers(0, 2**32 - 1)
rates = st.floats(0, 0.9)
images = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))


@given(seeds, rates, st.booleans(), st.booleans(), images)
def test_gradients(seed, rate, channels, train, shape):
    rng = np.random.default_rng(seed)
    assert check_layer(Dropout(rate, channels=channels, rng=rng), away_from_kinks(rng, shape), train=train).passed(1e-7)


@given(seeds, rates, st.booleans(), images)
def test_backward_uses_the_mask_of_its_forward(seed, rate, channels, shape):
    layer = Dropout(rate, channels=channels, rng=np.random.default_rng(seed))
    ones = np.ones(shape)
    np.testing.assert_array_equal(layer.forward(ones, train=True), layer.backward(ones))
    np.testing.assert_array_equal(layer.backward(ones), layer.backward(ones))


@given(seeds, st.floats(0.05, 0.9))
def test_a_unit_is_zero_or_grows_by_what_the_others_lost(seed, rate):
    x = np.random.default_rng(seed).standard_normal((5, 6))
    y = Dropout(rate, rng=np.random.default_rng(seed)).forward(x, train=True)
    np.testing.assert_allclose(y[y != 0], x[y != 0] / (1 - rate), rtol=1e-12)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.8])
def test_the_share_of_silenced_units_is_the_rate(rate):
    y = Dropout(rate, rng=np.random.default_rng(0)).forward(np.ones((200, 200)), train=True)
    assert abs((y == 0).mean() - rate) < 0.01
    assert abs(y.mean() - 1) < 0.02


def test_every_forward_draws_anew():
    layer = Dropout(0.5, rng=np.random.default_rng(0))
    assert not np.array_equal(layer.forward(np.ones((10, 10)), train=True), layer.forward(np.ones((10, 10)), train=True))


def test_masks_follow_the_seed():
    first, second = (Dropout(0.5, rng=np.random.default_rng(7)).forward(np.ones((10, 10)), train=True) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_channels_fall_or_stand_whole_in_each_image():
    y = Dropout(0.5, channels=True, rng=np.random.default_rng(0)).forward(np.ones((20, 3, 4, 5)), train=True)
    assert (y == y[:, :1, :1]).all()
    silenced = (y[:, 0, 0] == 0)
    assert 0.3 < silenced.mean() < 0.7 and len(np.unique(silenced, axis=0)) > 5


def test_evaluation_changes_nothing():
    layer, x = Dropout(0.5, rng=np.random.default_rng(0)), np.random.default_rng(1).standard_normal((4, 4))
    layer.forward(x, train=True)
    np.testing.assert_array_equal(layer.forward(x), x)
    np.testing.assert_array_equal(layer.backward(x), x)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_rates_outside_the_half_open_interval_are_refused(rate):
    with pytest.raises(ValueError, match="the dropout rate is"):
        Dropout(rate, rng=np.random.default_rng(0))
