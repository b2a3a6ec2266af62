"""Both losses against their definition, their gradients against differences, and both where exp would overflow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann.nn.gradcheck import check_loss
from minidann.nn.losses import binary_cross_entropy, softmax_cross_entropy

REDUCTIONS = ("mean", "sum")
seeds = st.integers(0, 2**32 - 1)


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def draw(seed, n, k):
    rng = np.random.default_rng(seed)
    return 3 * rng.standard_normal((n, k)), rng.integers(0, k, n)


@given(seeds, st.integers(1, 6), st.integers(2, 5), st.sampled_from(REDUCTIONS))
def test_softmax_cross_entropy_is_minus_log_of_the_true_classs_probability(seed, n, k, reduction):
    z, labels = draw(seed, n, k)
    loss, dz = softmax_cross_entropy(z, labels, reduction)
    p, factor = softmax(z), {"mean": 1 / n, "sum": 1}[reduction]
    np.testing.assert_allclose(loss, -np.log(p[np.arange(n), labels]).sum() * factor, rtol=1e-10)
    np.testing.assert_allclose(dz, (p - np.eye(k)[labels]) * factor, atol=1e-12)


@given(seeds, st.integers(1, 6), st.sampled_from(REDUCTIONS), st.booleans())
def test_binary_cross_entropy_is_minus_log_of_the_truths_probability(seed, n, reduction, column):
    rng = np.random.default_rng(seed)
    z, t = 3 * rng.standard_normal((n, 1) if column else n), rng.random(n)
    loss, dz = binary_cross_entropy(z, t, reduction)
    p, factor = 1 / (1 + np.exp(-z.ravel())), {"mean": 1 / n, "sum": 1}[reduction]
    np.testing.assert_allclose(loss, -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum() * factor, rtol=1e-10)
    np.testing.assert_allclose(dz, ((p - t) * factor).reshape(z.shape), atol=1e-12)
    assert dz.shape == z.shape


@given(seeds, st.integers(1, 5), st.integers(2, 4), st.sampled_from(REDUCTIONS))
def test_softmax_gradient_agrees_with_differences(seed, n, k, reduction):
    z, labels = draw(seed, n, k)
    z /= 3  # a gradient near 0 would drown in the rounding of the differences
    assert check_loss(lambda z, t: softmax_cross_entropy(z, t, reduction), z, labels).passed(1e-7)


@given(seeds, st.integers(1, 5), st.sampled_from(REDUCTIONS), st.sampled_from([(), (1,)]))
def test_binary_gradient_agrees_with_differences(seed, n, reduction, tail):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, n) if rng.random() < 0.5 else rng.random(n)
    assert check_loss(lambda z, t: binary_cross_entropy(z, t, reduction), rng.standard_normal((n, *tail)), targets).passed(1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("labels, value, gradient", [([0, 1], 0, [[0, 0], [0, 0]]), ([1, 0], 2e4, [[0.5, -0.5], [-0.5, 0.5]])])
def test_softmax_cross_entropy_at_ten_thousand(dtype, labels, value, gradient):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, dz = softmax_cross_entropy(np.array([[1e4, -1e4], [-1e4, 1e4]], dtype), np.array(labels))
    assert loss == value
    np.testing.assert_array_equal(dz, gradient)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("z, t, value, gradient", [(1e4, 1, 0, 0), (1e4, 0, 1e4, 1), (-1e4, 0, 0, 0), (-1e4, 1, 1e4, -1), (0, 1, np.log(2), -0.5)])
def test_binary_cross_entropy_at_ten_thousand(dtype, z, t, value, gradient):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, dz = binary_cross_entropy(np.array([z], dtype), np.array([t]))
    np.testing.assert_allclose(loss, value, rtol=1e-6)
    np.testing.assert_array_equal(dz, [gradient])


def test_a_softmax_over_one_unit_is_refused():
    with pytest.raises(ValueError, match="one unit"):
        softmax_cross_entropy(np.zeros((3, 1)), np.zeros(3, int))


@pytest.mark.parametrize("loss, logits", [(softmax_cross_entropy, np.zeros((3, 2))), (binary_cross_entropy, np.zeros((3, 1)))])
def test_lengths_must_agree(loss, logits):
    for targets in (np.zeros(2, int), np.zeros(1, int), np.zeros(4, int)):
        with pytest.raises(ValueError, match="there are 3"):
            loss(logits, targets)


@pytest.mark.parametrize("loss, logits", [(softmax_cross_entropy, np.zeros((3, 2))), (binary_cross_entropy, np.zeros(3))])
def test_an_unknown_reduction_is_refused(loss, logits):
    with pytest.raises(ValueError, match="reduction is 'none'"):
        loss(logits, np.zeros(3, int), "none")


def test_a_row_of_targets_does_not_broadcast_over_a_column_of_logits():
    z, t = np.random.default_rng(0).standard_normal((4, 1)), np.array([0, 1, 1, 0])
    column, flat = binary_cross_entropy(z, t), binary_cross_entropy(z[:, 0], t)
    assert column[0] == flat[0] and np.array_equal(column[1][:, 0], flat[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_losses_keep_the_dtype_and_change_neither_logits_nor_targets(dtype, reduction):
    z, t = np.random.default_rng(0).standard_normal((4, 2)).astype(dtype), np.array([0, 1, 1, 0])
    z.flags.writeable = t.flags.writeable = False
    for loss, dz in (softmax_cross_entropy(z, t, reduction), binary_cross_entropy(z[:, 0], t, reduction)):
        assert loss.dtype == dz.dtype == dtype
