"""Initial weights: their spread, their precision, their seed."""

import numpy as np
import pytest

from minidann.nn import Conv2D, Dense
from minidann.nn.initializers import glorot_uniform, he_normal, truncated_normal

INITIALIZERS = [he_normal, glorot_uniform, truncated_normal]
SHAPES = [(300, 200), (5, 5, 40, 60)]  # Dense; Conv2D


@pytest.mark.parametrize("init", INITIALIZERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_weights_and_biases_are_float32_of_the_layers_shape(init, shape):
    W, b = init(np.random.default_rng(0), shape)
    assert W.dtype == b.dtype == np.float32 and W.shape == shape and b.shape == shape[-1:]
    assert abs(W.mean()) < 5 * W.std() / np.sqrt(W.size)


@pytest.mark.parametrize("init", INITIALIZERS)
def test_weights_follow_the_seed(init):
    first, again, other = (init(np.random.default_rng(seed), (4, 3))[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("shape, fan_in", [(SHAPES[0], 300), (SHAPES[1], 5 * 5 * 40)])
def test_he_variance_is_two_over_the_fan_in(shape, fan_in):
    W, b = he_normal(np.random.default_rng(0), shape)
    assert W.var() == pytest.approx(2 / fan_in, rel=0.03) and not b.any()


@pytest.mark.parametrize(
    "shape, fan_in, fan_out", [(SHAPES[0], 300, 200), (SHAPES[1], 5 * 5 * 40, 5 * 5 * 60)]
)
def test_glorot_variance_is_two_over_both_fans(shape, fan_in, fan_out):
    W, b = glorot_uniform(np.random.default_rng(0), shape)
    assert W.var() == pytest.approx(2 / (fan_in + fan_out), rel=0.03) and not b.any()
    assert np.abs(W).max() == pytest.approx(np.sqrt(6 / (fan_in + fan_out)), rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sigma, bias", [(0.1, 0.1), (0.02, 0.0)])
def test_the_truncated_normal_ends_at_two_sigma(shape, sigma, bias):
    W, b = truncated_normal(np.random.default_rng(0), shape, sigma, bias)
    assert 1.95 * sigma < np.abs(W).max() <= 2.000001 * sigma
    assert W.std() == pytest.approx(0.8796 * sigma, rel=0.02)
    np.testing.assert_array_equal(b, np.float32(bias))


@pytest.mark.parametrize(
    "make", [lambda **options: Dense(3, 4, **options), lambda **options: Conv2D(3, 4, 5, **options)]
)
def test_layers_draw_from_the_generator_and_initializer_that_they_are_given(make):
    layer = make(rng=np.random.default_rng(5), init=truncated_normal)
    W, b = truncated_normal(np.random.default_rng(5), layer.params["W"].shape)
    assert np.array_equal(layer.params["W"], W) and np.array_equal(layer.params["b"], b)
