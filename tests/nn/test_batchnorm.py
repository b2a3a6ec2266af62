"""Batch normalisation against its formula, part by part, and its gradients against differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann.nn import BatchNorm
from minidann.nn.gradcheck import away_from_kinks, check_layer

seeds = st.integers(0, 2**32 - 1)
parts = st.integers(1, 2)
tails = st.one_of(st.tuples(st.integers(1, 4)), st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)))  # (C,) or (H, W, C)
rows = st.integers(5, 7)  # of a part


def make(seed, shape, n_parts, **options):
    """A layer in float64 with gamma, beta and statistics of no special value, and a batch that is neither centred nor scaled."""
    rng = np.random.default_rng(seed)
    layer = BatchNorm(shape[-1], parts=n_parts, **options).convert(lambda array: array + 0.3 * rng.random(array.shape))
    return layer, 3 * away_from_kinks(rng, shape) + 1


def formula(layer, part):
    """The training output for one part of the batch, channel by channel."""
    y = np.empty_like(part)
    for c in range(part.shape[-1]):
        x = part[..., c]
        mu = x.sum() / x.size
        var = ((x - mu) ** 2).sum() / x.size
        y[..., c] = layer.params["gamma"][c] * (x - mu) / np.sqrt(var + layer.epsilon) + layer.params["beta"][c]
    return y


@given(seeds, parts, rows, tails, st.booleans())
def test_gradients(seed, n_parts, n, tail, train):
    layer, x = make(seed, (n_parts * n, *tail), n_parts)
    assert check_layer(layer, x, train=train, epsilon=3e-5).passed(1e-7)


@given(seeds, parts, rows, tails)
def test_each_part_is_normalised_by_its_own_statistics(seed, n_parts, n, tail):
    layer, x = make(seed, (n_parts * n, *tail), n_parts)
    x[:n] += 5
    expected = np.concatenate([formula(layer, part) for part in np.split(x, n_parts)])
    np.testing.assert_allclose(layer.forward(x, train=True), expected, rtol=1e-9, atol=1e-9)


@given(seeds, rows, tails)
def test_two_parts_equal_two_layers_on_the_halves(seed, n, tail):
    layer, x = make(seed, (2 * n, *tail), 2)
    dy = np.random.default_rng(seed).standard_normal(x.shape)
    y, dx = layer.forward(x, train=True), layer.backward(dy)
    halves = [make(seed, (2 * n, *tail), 1)[0] for _ in range(2)]
    y_halves = [half.forward(x_half, train=True) for half, x_half in zip(halves, np.split(x, 2))]
    dx_halves = [half.backward(dy_half) for half, dy_half in zip(halves, np.split(dy, 2))]
    np.testing.assert_allclose(y, np.concatenate(y_halves), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dx, np.concatenate(dx_halves), rtol=1e-9, atol=1e-12)
    for name in ("gamma", "beta"):
        np.testing.assert_allclose(layer.grads[name], halves[0].grads[name] + halves[1].grads[name], rtol=1e-12, atol=1e-12)
    for name in ("mean", "var"):
        np.testing.assert_allclose(layer.state[name], (halves[0].state[name] + halves[1].state[name]) / 2, rtol=1e-12)


@given(seeds, st.integers(2, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_pixels_of_an_image_count_as_examples(seed, n, h, w, c):
    images, x = make(seed, (n, h, w, c), 1)
    rows = make(seed, (n, h, w, c), 1)[0]
    np.testing.assert_allclose(images.forward(x, train=True).reshape(-1, c), rows.forward(x.reshape(-1, c), train=True), rtol=1e-12)


@given(seeds, parts, st.floats(0, 1))
def test_running_statistics_follow_the_mean_of_the_parts(seed, n_parts, momentum):
    layer, _ = make(seed, (6, 3), n_parts, momentum=momentum)
    expected = {name: array.copy() for name, array in layer.state.items()}
    for step in range(3):
        x = np.random.default_rng([seed, step]).standard_normal((6, 3)) * (step + 1)
        layer.forward(x, train=True)
        halves = np.split(x, n_parts)
        for name, statistic in (("mean", np.mean), ("var", np.var)):
            expected[name] = momentum * expected[name] + (1 - momentum) * np.mean([statistic(half, axis=0) for half in halves], axis=0)
            np.testing.assert_allclose(layer.state[name], expected[name], rtol=1e-12, atol=1e-15)


@given(seeds, parts, st.integers(1, 5), tails)
def test_evaluation_uses_the_running_statistics_and_leaves_them_alone(seed, n_parts, n, tail):
    layer, x = make(seed, (n, *tail), n_parts)
    before = {name: array.copy() for name, array in layer.state.items()}
    expected = layer.params["gamma"] * (x - before["mean"]) / np.sqrt(before["var"] + layer.epsilon) + layer.params["beta"]
    np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-12, atol=1e-12)
    assert all(np.array_equal(layer.state[name], array) for name, array in before.items())


def test_no_output_can_shift_or_stretch_the_batch():
    """dx has neither a mean nor a part along xhat: the statistics are not constants."""
    layer, x = make(0, (8, 3), 1, epsilon=0.0)
    layer.forward(x, train=True)
    dx = layer.backward(np.random.default_rng(1).standard_normal(x.shape))
    np.testing.assert_allclose(dx.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose((dx * (x - x.mean(axis=0))).sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_channel_stays_finite(dtype):
    layer = BatchNorm(2).convert(lambda array: array.astype(dtype))
    y = layer.forward(np.full((4, 2), 7, dtype), train=True)
    np.testing.assert_array_equal(y, np.zeros((4, 2)))
    assert np.isfinite(layer.backward(np.ones((4, 2), dtype))).all()


def test_a_batch_that_does_not_divide_into_the_parts_is_refused():
    with pytest.raises(ValueError, match="a batch of 5 does not divide into the 2 equal parts"):
        BatchNorm(3, parts=2).forward(np.zeros((5, 3)), train=True)
    BatchNorm(3, parts=2).forward(np.zeros((5, 3)))  # in evaluation there are no parts
