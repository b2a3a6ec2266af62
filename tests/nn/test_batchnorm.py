"""Batch normalisation against its formula, part by part, and its gradients against differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann.nn import BatchNorm, Dense, Dropout, Sequential
from minidann.nn.batchnorm import adapt_batch_norm
from minidann.nn.gradcheck import away_from_kinks, check_layer
from minidann.runtime.arrays import to_host

seeds = st.integers(0, 2**32 - 1)
pytestmark = pytest.mark.usefixtures("way")
parts = st.integers(1, 2)
tails = st.one_of(
    st.tuples(st.integers(1, 4)), st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
)  # (C,) or (H, W, C)
rows = st.integers(5, 7)  # of a part


def make(place, seed, shape, n_parts, **options):
    """(layer, batch) in float64, of no special value.

    The batch, in main memory, is neither centred nor scaled; nor are gamma, beta and the running
    statistics those of a new layer.
    """
    rng = np.random.default_rng(seed)
    layer = BatchNorm(shape[-1], domains=n_parts, **options).convert(
        lambda array: place(array + 0.3 * rng.random(array.shape))
    )
    return layer, 3 * away_from_kinks(rng, shape) + 1


def host(arrays):
    """Copies of a layer's named arrays, in main memory."""
    return {name: to_host(array).copy() for name, array in arrays.items()}


def formula(layer, part):
    """The training output for one part of the batch, channel by channel."""
    y, params = np.empty_like(part), host(layer.params)
    for c in range(part.shape[-1]):
        x = part[..., c]
        mu = x.sum() / x.size
        var = ((x - mu) ** 2).sum() / x.size
        y[..., c] = params["gamma"][c] * (x - mu) / np.sqrt(var + layer.epsilon) + params["beta"][c]
    return y


@given(seeds, parts, rows, tails, st.booleans())
def test_gradients(place, seed, n_parts, n, tail, train):
    layer, x = make(place, seed, (n_parts * n, *tail), n_parts)
    assert check_layer(layer, x, train=train, epsilon=3e-5, transfer=place).passed(1e-7)


@given(seeds, parts, rows, tails)
def test_each_part_is_normalised_by_its_own_statistics(place, seed, n_parts, n, tail):
    layer, x = make(place, seed, (n_parts * n, *tail), n_parts)
    x[:n] += 5
    expected = np.concatenate([formula(layer, part) for part in np.split(x, n_parts)])
    np.testing.assert_allclose(
        to_host(layer.forward(place(x), train=True)), expected, rtol=1e-9, atol=1e-9
    )


@given(seeds, rows, tails)
def test_two_parts_equal_two_layers_on_the_halves(place, seed, n, tail):
    layer, x = make(place, seed, (2 * n, *tail), 2)
    dy = np.random.default_rng(seed).standard_normal(x.shape)
    y, dx = to_host(layer.forward(place(x), train=True)), to_host(layer.backward(place(dy)))
    halves = [make(place, seed, (2 * n, *tail), 1)[0] for _ in range(2)]
    y_halves = [
        to_host(half.forward(place(x_half), train=True))
        for half, x_half in zip(halves, np.split(x, 2))
    ]
    dx_halves = [
        to_host(half.backward(place(dy_half))) for half, dy_half in zip(halves, np.split(dy, 2))
    ]
    np.testing.assert_allclose(y, np.concatenate(y_halves), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dx, np.concatenate(dx_halves), rtol=1e-9, atol=1e-12)
    grads, (grads_0, grads_1) = host(layer.grads), [host(half.grads) for half in halves]
    for name in ("gamma", "beta"):
        np.testing.assert_allclose(
            grads[name], grads_0[name] + grads_1[name], rtol=1e-12, atol=1e-12
        )
    state, (state_0, state_1) = host(layer.state), [host(half.state) for half in halves]
    for name in ("mean", "var"):
        np.testing.assert_allclose(state[name], (state_0[name] + state_1[name]) / 2, rtol=1e-12)


@given(seeds, st.integers(2, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_pixels_of_an_image_count_as_examples(place, seed, n, h, w, c):
    images, x = make(place, seed, (n, h, w, c), 1)
    rows = make(place, seed, (n, h, w, c), 1)[0]
    y_images, y_rows = (
        images.forward(place(x), train=True),
        rows.forward(place(x.reshape(-1, c)), train=True),
    )
    np.testing.assert_allclose(to_host(y_images).reshape(-1, c), to_host(y_rows), rtol=1e-12)


@given(seeds, parts, st.floats(0, 1))
def test_running_statistics_follow_the_mean_of_the_parts(place, seed, n_parts, momentum):
    layer, _ = make(place, seed, (6, 3), n_parts, momentum=momentum)
    expected = host(layer.state)
    for step in range(3):
        x = np.random.default_rng([seed, step]).standard_normal((6, 3)) * (step + 1)
        layer.forward(place(x), train=True)
        halves = np.split(x, n_parts)
        for name, statistic in (("mean", np.mean), ("var", np.var)):
            expected[name] = momentum * expected[name] + (1 - momentum) * np.mean(
                [statistic(half, axis=0) for half in halves], axis=0
            )
            np.testing.assert_allclose(
                to_host(layer.state[name]), expected[name], rtol=1e-12, atol=1e-15
            )


@given(seeds, parts, st.integers(1, 5), tails)
def test_evaluation_uses_the_running_statistics_and_leaves_them_alone(
    place, seed, n_parts, n, tail
):
    layer, x = make(place, seed, (n, *tail), n_parts)
    params, before = host(layer.params), host(layer.state)
    expected = (
        params["gamma"] * (x - before["mean"]) / np.sqrt(before["var"] + layer.epsilon)
        + params["beta"]
    )
    np.testing.assert_allclose(to_host(layer.forward(place(x))), expected, rtol=1e-12, atol=1e-12)
    assert all(np.array_equal(array, before[name]) for name, array in host(layer.state).items())


def test_running_statistics_keep_their_precision(place):
    """Also in a batch of another one: else checkpoint and evaluation would mix precisions."""
    layer = BatchNorm(3).convert(place)
    layer.forward(place(np.random.default_rng(0).standard_normal((6, 3))), train=True)
    assert {array.dtype for array in layer.state.values()} == {np.dtype(np.float32)}


def test_no_output_can_shift_or_stretch_the_batch(place):
    """dx has neither a mean nor a part along xhat: the statistics are not constants."""
    layer, x = make(place, 0, (8, 3), 1, epsilon=0.0)
    layer.forward(place(x), train=True)
    dx = to_host(layer.backward(place(np.random.default_rng(1).standard_normal(x.shape))))
    np.testing.assert_allclose(dx.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose((dx * (x - x.mean(axis=0))).sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_channel_stays_finite(place, dtype):
    layer = BatchNorm(2).convert(lambda array: place(array.astype(dtype)))
    y = layer.forward(place(np.full((4, 2), 7, dtype)), train=True)
    np.testing.assert_array_equal(to_host(y), np.zeros((4, 2)))
    assert np.isfinite(to_host(layer.backward(place(np.ones((4, 2), dtype))))).all()


def test_a_batch_that_does_not_divide_into_the_parts_is_refused(place):
    layer, x = BatchNorm(3, domains=2).convert(place), place(np.zeros((5, 3)))
    with pytest.raises(ValueError, match="a batch of 5 does not divide into the 2 equal parts"):
        layer.forward(x, train=True)
    layer.forward(x)  # in evaluation there are no parts


def test_adopted_statistics_are_those_of_the_examples_and_dropout_stays_out_of_it():
    rng = np.random.default_rng(0)
    dense, first, second = Dense(3, 4, rng=rng), BatchNorm(4, domains=2), BatchNorm(4)
    network = Sequential([dense, first, Dropout(0.5, rng=rng), Sequential([second])])
    first.params["gamma"] += 2
    x = rng.standard_normal((65, 3), dtype=np.float32) + 5
    y = adapt_batch_norm(network, x)
    z = dense.forward(x)
    np.testing.assert_allclose(first.state["mean"], z.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(first.state["var"], z.var(axis=0), rtol=1e-4)
    np.testing.assert_allclose(second.state["var"], 9, rtol=1e-4)
    assert first.domains == 2 and first.momentum == second.momentum == 0.9
    np.testing.assert_allclose(network.forward(x), y, atol=1e-5)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-5)


@pytest.mark.parametrize("shape, domains", [((1, 3), 1), ((2, 3), 2), ((1, 1, 1, 3), 1)])
def test_one_value_of_a_channel_has_no_variance(place, shape, domains):
    """Its xhat is 0 and y is beta: the layers above would be trained on nothing."""
    layer = BatchNorm(3, domains=domains).convert(place)
    with pytest.raises(ValueError, match="at least two examples of each domain"):
        layer.forward(place(np.ones(shape, np.float32)), train=True)
    layer.forward(place(np.ones(shape, np.float32)))
    BatchNorm(3).convert(place).forward(place(np.ones((1, 1, 2, 3), np.float32)), train=True)
