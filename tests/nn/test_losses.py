"""The losses against their definition and differences, also where exp would overflow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strict_cupy import meter

from minidann.nn.gradcheck import check_loss
from minidann.nn.losses import binary_cross_entropy, class_balance, softmax_cross_entropy
from minidann.runtime.arrays import to_host

on_the_stand_in = pytest.mark.parametrize("place", ["stand-in"], indirect=True)
REDUCTIONS = ("mean", "sum")
seeds = st.integers(0, 2**32 - 1)


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def draw(seed, n, k):
    rng = np.random.default_rng(seed)
    return 3 * rng.standard_normal((n, k)), rng.integers(0, k, n)


@given(seeds, st.integers(1, 6), st.integers(2, 5), st.sampled_from(REDUCTIONS))
def test_softmax_cross_entropy_is_minus_log_of_the_true_classs_probability(
    place, seed, n, k, reduction
):
    z, labels = draw(seed, n, k)
    loss, dz = map(to_host, softmax_cross_entropy(place(z), place(labels), reduction))
    p, factor = softmax(z), {"mean": 1 / n, "sum": 1}[reduction]
    np.testing.assert_allclose(loss, -np.log(p[np.arange(n), labels]).sum() * factor, rtol=1e-10)
    np.testing.assert_allclose(dz, (p - np.eye(k)[labels]) * factor, atol=1e-12)


@given(seeds, st.integers(1, 6), st.integers(2, 5), st.sampled_from(REDUCTIONS))
def test_each_example_counts_its_weight_and_the_mean_is_over_all(place, seed, n, k, reduction):
    z, labels = draw(seed, n, k)
    weights = np.random.default_rng(seed).integers(0, 3, n) / 2
    loss, dz = map(
        to_host, softmax_cross_entropy(place(z), place(labels), reduction, place(weights))
    )
    p, factor = softmax(z), {"mean": 1 / n, "sum": 1}[reduction]
    np.testing.assert_allclose(
        loss, -(weights * np.log(p[np.arange(n), labels])).sum() * factor, rtol=1e-10
    )
    np.testing.assert_allclose(dz, weights[:, None] * (p - np.eye(k)[labels]) * factor, atol=1e-12)


@given(seeds, st.integers(1, 6), st.integers(2, 5))
def test_class_balance_is_the_divergence_of_the_mean_answer_from_equal_shares(place, seed, n, k):
    z, _ = draw(seed, n, k)
    loss, _ = class_balance(place(z))
    shares, equal = softmax(z).mean(axis=0), 1 / k
    np.testing.assert_allclose(
        to_host(loss), (equal * np.log(equal / shares)).sum(), rtol=1e-10, atol=1e-12
    )


@given(seeds, st.integers(1, 5), st.integers(2, 4))
def test_class_balance_gradient_agrees_with_differences(place, seed, n, k):
    z, labels = draw(seed, n, k)
    assert check_loss(lambda z, _: class_balance(z), z / 3, labels, transfer=place).passed(1e-6)


def test_class_balance_is_zero_where_every_class_has_its_share_and_then_pulls_at_nothing(place):
    loss, dz = map(to_host, class_balance(place(30 * np.eye(4)[[0, 1, 2, 3, 3, 2, 1, 0]])))
    np.testing.assert_allclose(loss, 0, atol=1e-12)
    np.testing.assert_allclose(dz, 0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_class_balance_at_ten_thousand(place, dtype):
    """No answer for the second class: the loss is large, not infinite; the gradient asks for it."""
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, dz = map(to_host, class_balance(place(np.array([[1e4, -1e4], [1e4, -1e4]], dtype))))
    assert loss == pytest.approx(1e4, rel=1e-3) and loss.dtype == dz.dtype == dtype
    np.testing.assert_allclose(dz, [[0.25, -0.25]] * 2)


@given(seeds, st.integers(1, 6), st.sampled_from(REDUCTIONS), st.booleans())
def test_binary_cross_entropy_is_minus_log_of_the_truths_probability(
    place, seed, n, reduction, column
):
    rng = np.random.default_rng(seed)
    z, t = 3 * rng.standard_normal((n, 1) if column else n), rng.random(n)
    loss, dz = map(to_host, binary_cross_entropy(place(z), place(t), reduction))
    p, factor = 1 / (1 + np.exp(-z.ravel())), {"mean": 1 / n, "sum": 1}[reduction]
    np.testing.assert_allclose(
        loss, -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum() * factor, rtol=1e-10
    )
    np.testing.assert_allclose(dz, ((p - t) * factor).reshape(z.shape), atol=1e-12)
    assert dz.shape == z.shape


@given(seeds, st.integers(1, 5), st.integers(2, 4), st.sampled_from(REDUCTIONS))
def test_softmax_gradient_agrees_with_differences(place, seed, n, k, reduction):
    z, labels = draw(seed, n, k)
    z /= 3  # a gradient near 0 would drown in the rounding of the differences
    assert check_loss(
        lambda z, t: softmax_cross_entropy(z, t, reduction), z, labels, transfer=place
    ).passed(1e-7)


@given(seeds, st.integers(1, 5), st.sampled_from(REDUCTIONS), st.sampled_from([(), (1,)]))
def test_binary_gradient_agrees_with_differences(place, seed, n, reduction, tail):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, n) if rng.random() < 0.5 else rng.random(n)
    z = rng.standard_normal((n, *tail))
    assert check_loss(
        lambda z, t: binary_cross_entropy(z, t, reduction), z, targets, transfer=place
    ).passed(1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "labels, value, gradient",
    [([0, 1], 0, [[0, 0], [0, 0]]), ([1, 0], 2e4, [[0.5, -0.5], [-0.5, 0.5]])],
)
def test_softmax_cross_entropy_at_ten_thousand(place, dtype, labels, value, gradient):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, dz = map(
            to_host,
            softmax_cross_entropy(
                place(np.array([[1e4, -1e4], [-1e4, 1e4]], dtype)), place(np.array(labels))
            ),
        )
    assert loss == value
    np.testing.assert_array_equal(dz, gradient)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "z, t, value, gradient",
    [
        (1e4, 1, 0, 0),
        (1e4, 0, 1e4, 1),
        (-1e4, 0, 0, 0),
        (-1e4, 1, 1e4, -1),
        (0, 1, np.log(2), -0.5),
    ],
)
def test_binary_cross_entropy_at_ten_thousand(place, dtype, z, t, value, gradient):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, dz = map(
            to_host, binary_cross_entropy(place(np.array([z], dtype)), place(np.array([t])))
        )
    np.testing.assert_allclose(loss, value, rtol=1e-6)
    np.testing.assert_array_equal(dz, [gradient])


def test_a_softmax_over_one_unit_is_refused():
    with pytest.raises(ValueError, match="one unit"):
        softmax_cross_entropy(np.zeros((3, 1)), np.zeros(3, int))


@pytest.mark.parametrize(
    "loss, logits",
    [(softmax_cross_entropy, np.zeros((3, 2))), (binary_cross_entropy, np.zeros((3, 1)))],
)
def test_lengths_must_agree(loss, logits):
    for targets in (np.zeros(2, int), np.zeros(1, int), np.zeros(4, int)):
        with pytest.raises(ValueError, match="there are 3"):
            loss(logits, targets)


@pytest.mark.parametrize(
    "loss, logits", [(softmax_cross_entropy, np.zeros((3, 2))), (binary_cross_entropy, np.zeros(3))]
)
def test_an_unknown_reduction_is_refused(place, loss, logits):
    with pytest.raises(ValueError, match="reduction is 'none'"):
        loss(place(logits), place(np.zeros(3, int)), "none")


def test_a_row_of_targets_does_not_broadcast_over_a_column_of_logits(place):
    z, t = np.random.default_rng(0).standard_normal((4, 1)), place(np.array([0, 1, 1, 0]))
    (loss, dz), (flat_loss, flat_dz) = (
        map(to_host, binary_cross_entropy(place(logits), t)) for logits in (z, z[:, 0])
    )
    assert loss == flat_loss and np.array_equal(dz[:, 0], flat_dz)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_losses_keep_the_dtype_and_change_neither_logits_nor_targets(place, dtype, reduction):
    logits, labels = (
        np.random.default_rng(0).standard_normal((4, 2)).astype(dtype),
        np.array([0, 1, 1, 0]),
    )
    logits.flags.writeable = labels.flags.writeable = (
        False  # what ``place`` takes elsewhere is compared with it
    )
    z, t = place(logits), place(labels)
    for loss, dz in (
        softmax_cross_entropy(z, t, reduction),
        binary_cross_entropy(z[:, 0], t, reduction),
    ):
        assert loss.dtype == dz.dtype == dtype and type(dz) is type(z)
    assert np.array_equal(to_host(z), logits) and np.array_equal(to_host(t), labels)


@on_the_stand_in
@pytest.mark.parametrize(
    "loss, logits",
    [(softmax_cross_entropy, np.zeros((3, 2))), (binary_cross_entropy, np.zeros((3, 1)))],
)
def test_a_loss_stays_on_the_device_until_someone_asks_for_it(place, loss, logits):
    """A loss that Python looks at, at every step, makes every step wait."""
    z, t = place(logits), place(np.zeros(3, int))
    meter.reset()
    value, _ = loss(z, t)
    assert (meter.up, meter.down, meter.syncs) == ([], [], 0) and type(value) is type(z)
